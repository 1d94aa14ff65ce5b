//! Reads protobuf without a schema, and so without ours.

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("{number} is no message or text"),
        }
    }

    pub(crate) fn text(self) -> &'a str {
        std::str::from_utf8(self.bytes()).expect("text")
    }
}

/// The fields of a message, in its order.
pub(crate) fn fields(mut message: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = number(&mut message);
        let value = match tag % 8 {
            0 => Value::Number(number(&mut message)),
            2 => {
                let length = usize::try_from(number(&mut message)).expect("a length");
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Value::Bytes(bytes)
            }
            other => panic!("wire type {other} is not used by Kubernetes"),
        };
        fields.push((tag / 8, value));
    }
    fields
}

/// All values of a field.
pub(crate) fn all(message: &[u8], field: u64) -> Vec<Value<'_>> {
    fields(message).into_iter().filter(|(number, _)| *number == field).map(|(_, value)| value).collect()
}

/// The one value of a field.
pub(crate) fn one(message: &[u8], field: u64) -> Value<'_> {
    let values = all(message, field);
    assert_eq!(values.len(), 1, "field {field} of {message:?}");
    values[0]
}

/// What is in Kubernetes' envelope: apiVersion, kind, and the message.
pub(crate) fn open(body: &[u8]) -> (&str, &str, &[u8]) {
    let unknown = body.strip_prefix(b"k8s\0").unwrap_or_else(|| panic!("no envelope: {body:?}"));
    let of_type = one(unknown, 1).bytes();
    (one(of_type, 1).text(), one(of_type, 2).text(), one(unknown, 2).bytes())
}

fn number(message: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().expect("a number ends");
        *message = rest;
        number |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return number;
        }
    }
    panic!("a number of more than 64 bits")
}
