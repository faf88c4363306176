//! SETFILTER.

use super::*;

#[test]
fn filters_of_ws1() {
    let pair = |filter: &str, mask: &str| FilterPair {
        filter: filter.parse().unwrap(),
        mask: mask.parse().unwrap(),
    };
    for (fields, want) in [
        (
            "0,20,3,-;0,0xffff,0xffff,-",
            Some(pair("0,20,3,-", "0,0xffff,0xffff,-")),
        ),
        ("1,2,3,::1;7,1", Some(pair("1,2,3,::1", "7,1,0,-"))),
        (" 1 , 2 ; 3 ;", Some(pair("1,2,0,-", "3,0,0,-"))),
        (";", Some(FilterPair::default())),
        ("", None),
        ("0,20,3,-", None),
        ("abc;def", None),
        ("0,0,0,ZZ;0,0,0,-", None),
        ("8,0,0,-;0,0,0,-", None),
        ("0,65536,0,-;0,0,0,-", None),
        ("0,0,0,-;0,0,0,-;1", None),
        ("0,0,0,-;0,0,-1,-", None),
    ] {
        let mut bench = Bench::of(WS1, "admin");
        let mut out = String::new();
        let request = bench
            .session
            .handle(&format!("C;SF;{fields}"), NOW, &mut out);
        match want {
            None => assert_eq!(out, "-;SF;1;Syntax error.", "{fields}"),
            Some(want) => {
                assert!(
                    matches!(request, Some(Request::SetFilter(pair)) if pair == want),
                    "{fields}"
                );
                bench.session.grant(&mut out);
                assert_eq!((&*out, bench.session.filter), ("+;SF", want));
            }
        }
    }
}

#[test]
fn filters_of_ws2_keep_what_is_not_said() {
    let mut bench = Bench::of(WS2, "admin");
    let mut set = |args: &str| {
        let message = format!(r#"{{"type": "C", "command": "SF", "args": {args}}}"#);
        let answer = bench.say(&message);
        (answer == ws2_done("SF"), bench.session.filter, answer)
    };
    let (_, pair, _) = set(r#"{"filter_class": 20, "mask_class": 65535, "mask_priority": 7}"#);
    assert_eq!(
        (pair.filter.class, pair.mask.class, pair.mask.priority),
        (20, 65535, 7)
    );
    let (done, pair, _) = set(r#"{"filter_type": 3, "filter_guid": "::1", "mask_guid": "-"}"#);
    assert!(done);
    assert_eq!((pair.filter.class, pair.filter.vscp_type), (20, 3));
    assert_eq!(pair.filter.guid.nickname(), 0xFF01);
    for args in ["null", "{}", "[]"] {
        assert_eq!(set(args), (true, pair, ws2_done("SF")), "{args}");
    }
    for args in [
        r#"{"filter_class": "20"}"#,
        r#"{"filter_class": 65536}"#,
        r#"{"filter_class": -1}"#,
        r#"{"filter_class": 1.5}"#,
        r#"{"filter_class": null}"#,
        r#"{"mask_priority": 8}"#,
        r#"{"mask_guid": "ZZ"}"#,
        r#"{"mask_guid": 5}"#,
        r#"{"filter_class": 7, "mask_type": []}"#,
        r#"{"filter": 5}"#,
        r#"{"filter_class": 7, "mask_clas": 65535}"#,
        r#"{"filter_class": 7, "Mask_class": 65535}"#,
        r#"{"filter_class": 7, "mask": {"class": 65535}}"#,
    ] {
        assert_eq!(
            set(args),
            (false, pair, ws2_error("SF", Code::Syntax)),
            "{args}"
        );
    }
    for args in ["5", r#""x""#, r#"["x"]"#, "[0, 20]"] {
        assert_eq!(
            set(args),
            (false, pair, ws2_error("SF", Code::Parse)),
            "{args}"
        );
    }
    // What a server refuses does not count.
    bench.trouble = Some(Code::General);
    bench.say(r#"{"type": "C", "command": "SF", "args": {"filter_class": 1}}"#);
    assert_eq!(bench.session.filter, pair);
}

#[test]
fn the_filter_begins_with_the_users() {
    let mut user = Arc::unwrap_or_clone(user("admin"));
    user.filter.mask = "7,1,2,-".parse().unwrap();
    let mut bench = Bench::of(WS2, "admin");
    bench.session.log_in(Identity {
        user: Arc::new(user),
        userid: 3,
        channel: 7,
        guid: Guid::ZERO,
    });
    bench.say(r#"{"type": "C", "command": "SF", "args": {"mask_class": 9}}"#);
    assert_eq!(bench.session.filter.mask, "7,9,2,-".parse().unwrap());
}

#[test]
fn what_is_there_twice_is_not_guessed() {
    let mut bench = Bench::of(WS2, "admin");
    let pair = bench.session.filter;
    for args in [
        r#"{"filter_class": 20, "filter_class": 30}"#,
        r#"{"mask_class": 5, "mask_guid": "-", "mask\u005fclass": 5}"#,
    ] {
        let message = format!(r#"{{"type": "C", "command": "SF", "args": {args}}}"#);
        assert_eq!(bench.say(&message), ws2_error("SF", Code::Parse), "{args}");
        assert_eq!(bench.session.filter, pair);
    }
}
