use super::*;

#[test]
fn a_query_comes_out_as_go_writes_it() {
    let check = |query, expected| assert_eq!(reencode(query), expected, "of {query:?}");
    check("timeout=3s&limit=500", "limit=500&timeout=3s");
    check("labelSelector=app%3Dweb%2Ctier%20in%20(a,b)", "labelSelector=app%3Dweb%2Ctier+in+%28a%2Cb%29");
    check("a;b=1&c=%zz&watch", "watch=");
    check("", "");
}

#[test]
fn an_escaped_slash_of_a_path_becomes_a_slash() {
    assert_eq!(reencode_path("/apis/g/v/nodes/n%2Fx%20y"), "/apis/g/v/nodes/n/x%20y");
}

#[test]
fn of_a_repeated_parameter_the_first_counts() {
    assert_eq!(
        firsts("limit=1&limit=2&continue=a%20b").into_iter().collect::<Vec<_>>(),
        [("continue".to_owned(), "a b".to_owned()), ("limit".to_owned(), "1".to_owned())]
    );
}
