//! Every cause that a check can name, in one table: its word, what it means, and how it is mended.
//!
//! The word is what programs read (`cause` of `-o json`) and what people search for; it is fixed. The page on
//! troubleshooting is written from the table, and [`Cause::ALL`] is there so that a test can compare.
//!
//! Absent on purpose: names of objects. What stands here is true of every cluster; the finding fills them in.

use std::fmt;

macro_rules! causes {
    ($($name:ident $word:literal: $meaning:literal; $mend:literal.)*) => {
        /// Why a check does not find what it should.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $(#[doc = $meaning] $name,)*
        }

        impl Cause {
            /// All of them, in the order of the checks.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The fixed word.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// How it is mended, in a sentence.
            pub fn mend(self) -> &'static str {
                match self { $(Self::$name => $mend,)* }
            }
        }
    };
}

causes! {
    ApiServerUnreachable "api-server-unreachable":
        "The API server does not answer: nothing else can be looked at.";
        "Check the address in the kubeconfig and the way to it; `kubectl version` must work from the same place.".
    CredentialsRefused "credentials-refused":
        "The API server does not accept the credentials of the kubeconfig.";
        "Renew them, or name another kubeconfig or context.".
    VersionNotTried "version-not-tried":
        "The API server is older or newer than those that the gateway is written for.";
        "Nothing needs mending; tell us how it went.".

    AuthenticationConfigMissing "authentication-config-missing":
        "There is no ConfigMap kube-system/extension-apiserver-authentication, which every kube-apiserver writes.";
        "Find out what deletes it; the API server writes it anew when it starts.".
    AuthenticationConfigUnreadable "authentication-config-unreadable":
        "Who asks may not read the ConfigMap kube-system/extension-apiserver-authentication.";
        "Bind the Role extension-apiserver-authentication-reader, or run with an administrator's kubeconfig.".
    RequestheaderFlagsMissing "requestheader-flags-missing":
        "kube-apiserver runs without --requestheader-client-ca-file: the aggregation layer is off.";
        "Give kube-apiserver the --requestheader-* and --proxy-client-* flags, and restart it.".
    RequestheaderHeadersMissing "requestheader-headers-missing":
        "kube-apiserver names no headers for the user that it passes on: everyone would be nobody.";
        "Give kube-apiserver the --requestheader-*-headers flags, and restart it.".
    AuthenticationCaInvalid "authentication-ca-invalid":
        "A CA in the ConfigMap extension-apiserver-authentication cannot be read.";
        "Put whole PEM certificates into the files that kube-apiserver's flags name, and restart it.".
    AuthenticationCaExpired "authentication-ca-expired":
        "A CA in the ConfigMap extension-apiserver-authentication has expired: nobody under it is believed.";
        "Renew the CA, sign the client certificates anew, and restart kube-apiserver.".
    ProxyClientFlagsMissing "proxy-client-flags-missing":
        "kube-apiserver runs without --proxy-client-cert-file and --proxy-client-key-file: it cannot prove who it is.";
        "Give kube-apiserver both flags, and restart it.".
    NoServiceRouting "no-service-routing":
        "kube-apiserver asks Services by their cluster address, and nothing was found that routes those.";
        "Give kube-apiserver --enable-aggregator-routing=true, or run kube-proxy on its machine.".

    ApiServiceMissing "api-service-missing":
        "The version of metrics.k8s.io is not registered: nobody can ask for it.";
        "Apply the APIService of the gateway's manifests.".
    ApiServiceElsewhere "api-service-elsewhere":
        "The APIService points at another Service than the gateway's.";
        "Let it point at the gateway's Service, or look at the other with --namespace and --service.".
    ServiceMissing "service-missing":
        "The APIService points at a Service that does not exist.";
        "Apply the Service of the gateway's manifests.".
    ServicePortWrong "service-port-wrong":
        "The APIService points at a port that its Service does not have.";
        "Let it point at the Service's port.".
    NoEndpoints "no-endpoints":
        "The Service has no endpoints: no pod that it selects is ready.";
        "Get a pod of the gateway ready, or mend the Service's selector.".
    DiscoveryRefused "discovery-refused":
        "The API server reaches the machine, but nobody listens at the gateway's port (connection refused).";
        "Start the gateway, or mend the targetPort of its Service and --secure-port.".
    DiscoveryTimeout "discovery-timeout":
        "The API server's packets to the gateway vanish, or it does not answer in time (i/o timeout, context deadline exceeded).";
        "Open the way from the control plane to the gateway's pod and port: firewall, NetworkPolicy, security group, overlay network; or hostNetwork.".
    DiscoveryNoRoute "discovery-no-route":
        "The API server has no route to the gateway's address.";
        "Give the control plane a route to the pod network, or run the gateway with hostNetwork.".
    DiscoveryNoSuchHost "discovery-no-such-host":
        "The API server cannot resolve the gateway's name (no such host).";
        "Let the Service have a cluster address instead of an external name, or mend the control plane's DNS.".
    DiscoveryUnknownAuthority "discovery-unknown-authority":
        "The API server does not trust the issuer of the gateway's certificate.";
        "Put the CA that signed it into the APIService's caBundle.".
    DiscoveryWrongName "discovery-wrong-name":
        "The gateway's certificate is not for the name SERVICE.NAMESPACE.svc by which the API server asks it.";
        "Issue a certificate for that name, and give it to --tls-cert-file.".
    DiscoveryCertificateExpired "discovery-certificate-expired":
        "The gateway's certificate has expired, or is not valid yet by the API server's clock.";
        "Renew it; the gateway reads the new files by itself.".
    DiscoveryTls "discovery-tls":
        "The API server and the gateway do not agree on TLS.";
        "Compare the --tls-* flags of both.".
    Discovery401 "discovery-401":
        "The gateway does not believe that it is the API server who asks (401).";
        "Compare the CA and the allowed names of the front proxy with kube-apiserver's --proxy-client-cert-file.".
    Discovery403 "discovery-403":
        "The gateway, or a proxy on the way, refuses the API server's discovery (403).";
        "Give the gateway its auth-delegator binding; except the cluster's addresses from the API server's HTTPS_PROXY.".
    Discovery404 "discovery-404":
        "Something else than a metrics server answers at the gateway's address (404).";
        "Mend the Service's selector and targetPort.".
    Discovery5xx "discovery-5xx":
        "The gateway, or a proxy on the way, answers with an error (5xx).";
        "Read the gateway's log; except the cluster's addresses from the API server's HTTPS_PROXY.".
    DiscoveryBrokenOff "discovery-broken-off":
        "The connection between the API server and the gateway ends without an answer.";
        "Read the gateway's log, and look for a proxy or a service mesh on the way.".
    ApiServiceUnavailable "api-service-unavailable":
        "The API server does not call the APIService available, for a reason that is none of those above.";
        "Read the condition's message.".
    CaBundleMissing "ca-bundle-missing":
        "The APIService has no caBundle, and the gateway's certificate is by nobody whom the API server's machine trusts.";
        "Put the CA that signed the certificate into caBundle.".
    CaBundleInvalid "ca-bundle-invalid":
        "The APIService's caBundle holds no certificate that can be read.";
        "Put the CA of the gateway's certificate there, as PEM.".
    CaBundleExpired "ca-bundle-expired":
        "The CA in the APIService's caBundle has expired.";
        "Renew the CA, sign the gateway's certificate anew, and put the new CA into caBundle.".
    CaBundleMismatch "ca-bundle-mismatch":
        "The APIService's caBundle does not vouch for the certificate that the gateway shows.";
        "Put the CA that signed the certificate into caBundle.".

    FlagsRefused "flags-refused":
        "The gateway would not start with these flags and this gateway.toml.";
        "Mend what the message names; `metrics-gateway config check` says the same.".
    ReplicasUnavailable "replicas-unavailable":
        "The Deployment has fewer ready pods than it should.";
        "Look at its pods.".
    ImagePull "image-pull":
        "The image of a pod of the gateway cannot be pulled.";
        "Mend the image's name or the pull secret.".
    CrashLoop "crash-loop":
        "A pod of the gateway ends again and again.";
        "Read the log of the container that ended.".
    BadFlags "bad-flags":
        "A pod of the gateway ends with 2: its flags or its gateway.toml make no sense.";
        "Read the log of the container that ended, and mend the flag that it names.".
    ContainerWaiting "container-waiting":
        "A container of the gateway cannot be started.";
        "Mend what the message names, mostly a ConfigMap, a Secret or a security context.".
    PodPending "pod-pending":
        "A pod of the gateway finds no node.";
        "Mend what the scheduler says: resources, node selector, taints.".
    ProbeFailing "probe-failing":
        "A pod of the gateway runs, but is not ready.";
        "Ask it why: /readyz?verbose names the check that fails.".

    RbacKubelets "rbac-kubelets":
        "The gateway's account may not read kubelets: get on nodes/metrics, or nodes/stats.";
        "Give its ClusterRole the rule, and bind it.".
    RbacWatches "rbac-watches":
        "The gateway's account may not watch nodes, pods, or the namespaces that its policies need.";
        "Give its ClusterRole the rule, and bind it.".
    RbacAuthDelegator "rbac-auth-delegator":
        "The gateway's account may not ask who a caller is and what they may do (TokenReview, SubjectAccessReview).";
        "Bind the ClusterRole system:auth-delegator to it.".
    RbacAuthReader "rbac-auth-reader":
        "The gateway's account may not read the ConfigMap extension-apiserver-authentication.";
        "Bind the Role extension-apiserver-authentication-reader in kube-system to it.".
    RbacEvents "rbac-events":
        "The gateway's account may not write Events about its own Deployment.";
        "Apply the Role and the RoleBinding metrics-server:events, or take METRICS_GATEWAY_DEPLOYMENT away.".

    KubeletCredentials "kubelet-credentials":
        "There are no usable credentials for kubelets.";
        "Mend the file that the message names.".
    NodesOutOfReach "nodes-out-of-reach":
        "No node's address can be reached from here: kubelets were asked through the API server's node proxy.";
        "Nothing needs mending; run doctor in the gateway's pod to see addresses and certificates as the gateway does.".
    NodeNotFound "node-not-found":
        "There is no such node.";
        "Compare with `kubectl get nodes`.".
    NodeNoAddress "node-no-address":
        "The node has no address of a preferred type.";
        "Name a type that the node has in --kubelet-preferred-address-types.".
    NodeNoSuchHost "node-no-such-host":
        "The node's name cannot be resolved (no such host).";
        "Prefer InternalIP in --kubelet-preferred-address-types, or give the cluster's DNS the node names.".
    NodeRefused "node-refused":
        "Nobody listens at the kubelet's port (connection refused).";
        "Start the kubelet, or name its port with --kubelet-port or --kubelet-use-node-status-port.".
    NodeTimeout "node-timeout":
        "No connection to the kubelet comes about (dial tcp: i/o timeout).";
        "Open the way to the node's port 10250: firewall, NetworkPolicy, security group; or prefer another type of address.".
    NodeHung "node-hung":
        "The kubelet's machine accepts the connection, and no answer comes.";
        "Restart the kubelet; where it is only slow, give it more time with --kubelet-request-timeout.".
    NodeNoRoute "node-no-route":
        "There is no route to the node's address.";
        "Prefer another type of address in --kubelet-preferred-address-types, or mend the network.".
    NodeUnreachable "node-unreachable":
        "The node cannot be connected to, for a reason that is none of those above.";
        "Read the message.".
    NodeCertificateName "node-certificate-name":
        "The kubelet's certificate is for other names than the one that is dialled (certificate is valid for A, not B).";
        "Dial the address and verify a name that it has (plugin name-over-ip), prefer the type of address that it names, or issue it anew.".
    NodeCertificateNoIpSans "node-certificate-no-ip-sans":
        "The kubelet is dialled by its address, and its certificate names none (doesn't contain any IP SANs).";
        "Dial the address and verify a name that it has (plugin name-over-ip), or issue it anew with the address.".
    NodeCertificateAuthority "node-certificate-authority":
        "The kubelet's certificate is by an issuer that is not trusted (signed by unknown authority).";
        "Name the CA that signs kubelet certificates with --kubelet-certificate-authority.".
    NodeCertificateSelfSigned "node-certificate-self-signed":
        "The kubelet signed its certificate itself: it has none of the cluster's.";
        "Set serverTLSBootstrap: true in the kubelet's configuration, restart it, and approve its request.".
    NodeCertificateExpired "node-certificate-expired":
        "The kubelet's certificate has expired, or is not valid yet.";
        "Let the kubelet rotate it (serverTLSBootstrap, rotateCertificates), or issue it anew and restart the kubelet.".
    NodeCsrPending "node-csr-pending":
        "The kubelet waits for its serving certificate: its request is not approved.";
        "Approve the request.".
    NodeNoCertificate "node-no-certificate":
        "The kubelet has no serving certificate (tls: internal error), and no request for one is pending.";
        "Restart the kubelet so that it asks again, and approve its request.".
    NodeTls "node-tls":
        "TLS with the kubelet fails, for a reason that is none of those above.";
        "Read the message.".
    Node401 "node-401":
        "The kubelet does not accept our token or certificate (401).";
        "Turn on the kubelet's webhook authentication (authentication.webhook.enabled, --authentication-token-webhook=true).".
    Node403Anonymous "node-403-anonymous":
        "The kubelet takes us for anonymous: 403 Forbidden (user=system:anonymous).";
        "Turn on the kubelet's webhook authentication (--authentication-token-webhook=true), or give us credentials that it knows.".
    Node403 "node-403":
        "The kubelet knows us, and we may not: 403 Forbidden.";
        "Give the account get on nodes/metrics (nodes/stats for its summary), and bind it.".
    Node404 "node-404":
        "The kubelet has neither /metrics/resource nor /stats/summary (404).";
        "Look at what answers at that port; a kubelet older than 1.14 needs its /stats/summary turned on.".
    NodeStatus "node-status":
        "The kubelet answers with an error.";
        "Read the kubelet's log.".
    NodeAnswerUnreadable "node-answer-unreadable":
        "The kubelet's answer breaks off, is too long, or is in no known format.";
        "Read the kubelet's log; where it is only long, raise scrape.max_body in gateway.toml.".
    NodeMetricsZero "node-metrics-zero":
        "The kubelet answers, but reports no CPU or no memory of the node.";
        "Restart the kubelet, and look at its cgroup driver and its log.".

    MetricsApiFailing "metrics-api-failing":
        "The Metrics API does not answer through the API server.";
        "Mend the checks that failed above it.".
    MetricsStarting "metrics-starting":
        "Metrics not available yet: it takes two readings, and the gateway, the node or the container has just started.";
        "Wait for two resolutions (--metric-resolution), and look again.".
    MetricsNodeFailing "metrics-node-failing":
        "Metrics not available: the kubelet that has them cannot be read.";
        "Mend the node's check.".
    MetricsPodNotRunning "metrics-pod-not-running":
        "Metrics not available: the pod does not run.";
        "Look at the pod; what does not run uses nothing.".
    MetricsZero "metrics-zero":
        "Metrics not available yet: the kubelet reports a container of the pod with zero or not at all, and half a pod is not served.";
        "Look at the container: it has ended, or its runtime does not account for it.".
    MetricsNotServed "metrics-not-served":
        "Metrics not available yet, although the kubelet reports them.";
        "Ask the gateway why: `metrics-gateway explain`.".
    MetricsStale "metrics-stale":
        "What is served is old: the node's newest reading is held.";
        "Mend the node's check; read the gateway's log.".
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests;
