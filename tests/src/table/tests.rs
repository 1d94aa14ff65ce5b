use super::*;

#[test]
fn cpu_is_rounded_up_and_memory_down_as_kubectl_does() {
    let check = |quantity, cpu: &str, memory: &str| {
        let value = nanos(quantity).expect(quantity);
        assert_eq!((millicores(value).as_str(), mebibytes(value).as_str()), (cpu, memory), "of {quantity:?}");
    };
    check("156340379n", "157m", "0Mi");
    check("0", "0m", "0Mi");
    check("1n", "1m", "0Mi");
    check("2", "2000m", "0Mi");
    check("0.5", "500m", "0Mi");
    assert_eq!(mebibytes(nanos("1205632Ki").expect("a quantity")), "1177Mi");
    assert_eq!(mebibytes(nanos("1048575").expect("a quantity")), "0Mi");
}

#[test]
fn what_is_no_quantity_has_no_value() {
    for text in ["", "m", "-1", "1.2.3", "1x", "99999999999999999999999999999999999999999Ti"] {
        assert_eq!(nanos(text), None, "of {text:?}");
    }
}

#[test]
fn columns_stand_three_blanks_apart() {
    let rows = [["a".to_owned(), "100m".to_owned()], ["longer".to_owned(), "1m".to_owned()]];
    assert_eq!(columns(["NAME", "CPU"], &rows), "NAME     CPU\na        100m\nlonger   1m\n");
}

#[test]
fn a_share_of_nothing_is_unknown() {
    assert_eq!((per_cent(1999, 4000), per_cent(1, 0)), ("49%".to_owned(), "<unknown>".to_owned()));
}
