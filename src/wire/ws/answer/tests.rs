use std::sync::Arc;

use super::*;
use crate::auth::{AllowedEvents, Rights};
use crate::wire::ws::session::tests::user;

#[test]
fn base64_of_every_length() {
    for (plain, text) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
        ("hello", "aGVsbG8="),
        ("~~~???", "fn5+Pz8/"),
    ] {
        assert_eq!(base64(plain.as_bytes()), text);
    }
}

#[test]
fn the_record_of_a_user() {
    let mut user = Arc::unwrap_or_clone(user("admin"));
    user.full_name = "Miss; Super\nuser".to_owned();
    user.note = "hello".to_owned();
    user.rights = "receive-events,set-filter".parse::<Rights>().unwrap();
    user.allowed = AllowedEvents::parse(["TX;0x14;*;3,30:5,*:9,*:*"]).unwrap();
    user.filter.filter = "1,20,3,::1".parse().unwrap();
    assert_eq!(
        record(&user, 4),
        "4;admin;********;Miss_ Super_user;\
         1,20,3,FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:FF:01;\
         0,0,0,00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00;\
         00000100000100000000000000000000;;*:*/*:0009/0014:*/001E:0005;aGVsbG8="
    );
    assert_eq!(record(&user, 4).split(';').count(), 10);
}
