use proptest::prelude::*;

use super::super::unhex;
use super::*;

const KEY: &str = "2DBB079A38985AF00EBEEFE22F9FFA0E";
const OLD_KEY: &str = "A4A86F7D7E119BA3F0CD06881E371B98";

/// Key, vector and what is encrypted: the examples of the specification, and what its clients sent.
const ZEROS: [(&str, &str, &str); 3] = [
    (
        KEY,
        "55BCA4DC7C1FD9C3E6967F37C8747698",
        "42273E9F3440DABA5B0CC05242F742B2",
    ),
    (
        KEY,
        "100EAACB2AE27FA01214A97D94CDCFA3",
        "2D1CA5D6F8308F58E5412362114A66C3",
    ),
    (
        KEY,
        "00112233445566778899AABBCCDDEEFF",
        "3C378ED1F8CC54EB417B3780CC1019CD",
    ),
];

/// The same with blanks at the end.
const BLANKS: [(&str, &str, &str); 2] = [
    (
        OLD_KEY,
        "5A475C082C80DCDF7F2DFBD976253B24",
        "69B1180D2F4809D39BE34E19C750107F",
    ),
    (
        KEY,
        "1C8CAE9B6B2CAD02479E3E5C3571DC11",
        "6B7C0FB23211D0421E4EF0102AF3987A",
    ),
];

fn sixteen(digits: &str) -> [u8; 16] {
    unhex(digits).unwrap().try_into().unwrap()
}

fn seal_bytes(key: &[u8; 16], iv: &Sid, plain: &[u8]) -> Vec<u8> {
    let mut bytes = plain.to_vec();
    cbc::Encryptor::<Aes128>::new(&(*key).into(), &(*iv).into()).encrypt_blocks(blocks(&mut bytes));
    bytes
}

/// What comes out of a plain text.
fn opened(plain: &[u8]) -> Result<(String, String), AuthError> {
    let (key, iv) = (sixteen(KEY), [7; 16]);
    open(&key, &iv, &seal_bytes(&key, &iv, plain)).map(|(user, word)| (user, word.to_string()))
}

#[test]
fn the_examples_of_the_specification_and_of_its_clients() {
    for (key, iv, cipher) in ZEROS {
        let sealed = seal(&sixteen(key), &sixteen(iv), "admin", "secret");
        assert_eq!(sealed, cipher);
    }
    for (key, iv, cipher) in ZEROS.into_iter().chain(BLANKS) {
        for digits in [cipher.to_owned(), cipher.to_lowercase()] {
            let (user, password) =
                open(&sixteen(key), &sixteen(iv), &unhex(&digits).unwrap()).unwrap();
            assert_eq!((&*user, &**password), ("admin", "secret"));
        }
    }
}

#[test]
fn filled_up_in_every_way() {
    for (plain, user, password) in [
        ("admin:secret\0\0\0\0", "admin", "secret"),
        ("admin:secret    ", "admin", "secret"),
        ("admin:secret  \r\n", "admin", "secret"),
        ("admin:secret1234", "admin", "secret1234"),
        ("admin:secret1234                ", "admin", "secret1234"),
        (
            "admin:secret1234\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "admin",
            "secret1234",
        ),
        ("admin:secret\0xyz", "admin", "secret"),
        ("user:p:w:x\0\0\0\0\0\0", "user", "p:w:x"),
        ("a::b\0\0\0\0\0\0\0\0\0\0\0\0", "a", ":b"),
    ] {
        let want = (user.to_owned(), password.to_owned());
        assert_eq!(opened(plain.as_bytes()), Ok(want), "{plain:?}");
    }
}

#[test]
fn what_makes_no_sense() {
    for plain in [
        b"admin secret\0\0\0\0",
        b"\0dmin:secret\0\0\0\0",
        b":secret\0\0\0\0\0\0\0\0\0",
        b"admin:\0\0\0\0\0\0\0\0\0\0",
        b"                ",
        b"\xff\xfemin:secret\0\0\0\0",
    ] {
        assert_eq!(opened(plain), Err(AuthError::Nonsense), "{plain:?}");
    }
    let (key, iv) = (sixteen(KEY), [0; 16]);
    for length in [0, 1, 15, 17, 31, 257, 272] {
        let cipher = vec![0; length];
        assert_eq!(open(&key, &iv, &cipher), Err(AuthError::Length(length)));
    }
    let cipher = unhex(&seal(&key, &iv, "admin", "secret")).unwrap();
    assert!(open(&sixteen(OLD_KEY), &iv, &cipher).is_err());
    assert!(open(&key, &[1; 16], &cipher).is_err());
}

proptest! {
    #[test]
    fn opens_what_it_seals(
        key: [u8; 16],
        iv: [u8; 16],
        user in "[a-zåäö.]{1,60}",
        password in "[!-~åäö]{1,60}",
    ) {
        let cipher = unhex(&seal(&key, &iv, &user, &password)).unwrap();
        prop_assert_eq!(cipher.len() % 16, 0);
        let (back, word) = open(&key, &iv, &cipher).unwrap();
        prop_assert_eq!((back, word.to_string()), (user, password));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        key: [u8; 16],
        iv: [u8; 16],
        cipher in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = open(&key, &iv, &cipher);
    }
}
