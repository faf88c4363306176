//! Lists of cipher suites, as OpenSSL writes them.

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::{CipherSuite, SupportedCipherSuite};

/// Suites by the names that OpenSSL has for them.
const SUITES: &[(&str, CipherSuite)] = {
    use CipherSuite as S;
    &[
        ("TLS_AES_128_GCM_SHA256", S::TLS13_AES_128_GCM_SHA256),
        ("TLS_AES_256_GCM_SHA384", S::TLS13_AES_256_GCM_SHA384),
        (
            "TLS_CHACHA20_POLY1305_SHA256",
            S::TLS13_CHACHA20_POLY1305_SHA256,
        ),
        (
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        ),
        (
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
        (
            "ECDHE-RSA-AES128-GCM-SHA256",
            S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ),
        (
            "ECDHE-RSA-AES256-GCM-SHA384",
            S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ),
        (
            "ECDHE-RSA-CHACHA20-POLY1305",
            S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ),
    ]
};

/// What OpenSSL has words for and this driver has no suites of.
const UNSAFE: &[&str] = &[
    "NULL",
    "eNULL",
    "aNULL",
    "ADH",
    "AECDH",
    "EXP",
    "EXPORT",
    "EXPORT40",
    "EXPORT56",
    "LOW",
    "MEDIUM",
    "MD5",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "RC2",
    "RC4",
    "DES",
    "3DES",
    "IDEA",
    "SEED",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "AESCCM",
    "AESCCM8",
    "CBC",
    "RSA",
    "kRSA",
    "DH",
    "kDH",
    "kDHr",
    "kDHd",
    "aDH",
    "DHE",
    "EDH",
    "kDHE",
    "kEDH",
    "kECDHr",
    "kECDHe",
    "aECDH",
    "DSS",
    "aDSS",
    "PSK",
    "kPSK",
    "aPSK",
    "kRSAPSK",
    "kECDHEPSK",
    "kDHEPSK",
    "SRP",
    "kSRP",
    "aSRP",
    "KRB5",
    "GOST",
    "kGOST",
    "aGOST",
    "SSLv2",
    "SSLv3",
    "TLSv1",
    "TLSv1.0",
    "TLSv1.1",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
];

/// The suites of a word: one, or those of TLS 1.2 that all parts of it (`ECDHE+AESGCM`) are about.
/// `None` where it is not known.
fn named(word: &str) -> Option<Vec<CipherSuite>> {
    if let Some(&(_, suite)) = SUITES.iter().find(|(name, _)| *name == word) {
        return Some(vec![suite]);
    }
    let mut found: Vec<_> = SUITES
        .iter()
        .filter(|(name, _)| !name.starts_with("TLS_"))
        .collect();
    for part in word.split('+') {
        let of = match part {
            "ALL" | "DEFAULT" | "HIGH" | "TLSv1.2" | "ECDH" | "ECDHE" | "EECDH" | "kECDHE"
            | "kEECDH" => "ECDHE-",
            "ECDSA" | "aECDSA" => "-ECDSA-",
            "aRSA" => "-RSA-",
            "AES" => "-AES",
            "AES128" => "-AES128-",
            "AES256" => "-AES256-",
            "AESGCM" => "-GCM-",
            "CHACHA20" => "-CHACHA20-",
            part if UNSAFE.contains(&part) => {
                found.clear();
                continue;
            }
            _ => return None,
        };
        found.retain(|(name, _)| name.contains(of));
    }
    Some(found.into_iter().map(|&(_, suite)| suite).collect())
}

/// The library's suites, or those of them that are wanted. `key` names where they stand. As with
/// OpenSSL a list that names none of TLS 1.3 is about TLS 1.2, and takes no suite of 1.3 away. The
/// client chooses among them: the order of a list has no effect.
pub(super) fn provider(list: &[String], key: &str) -> CryptoProvider {
    const SIGNS: [char; 4] = ['!', '-', '+', '@'];
    let mut provider = ring::default_provider();
    let all: Vec<CipherSuite> = SUITES.iter().map(|&(_, suite)| suite).collect();
    let (mut wanted, mut banned) = (Vec::new(), Vec::new());
    let adds = list.iter().any(|word| !word.starts_with(SIGNS));
    if !adds {
        // Nothing but what is not wanted: of all.
        wanted.extend(named("ALL").unwrap_or_default());
    }
    for word in list {
        let (sign, name) = match word.chars().next() {
            Some(sign) if SIGNS.contains(&sign) => (sign, &word[1..]),
            _ => (' ', word.as_str()),
        };
        let suites = match (sign, named(name)) {
            // All of them are strong enough for any level that a list could ask for.
            ('@', _) if name == "STRENGTH" || name.starts_with("SECLEVEL=") => continue,
            ('!' | '-' | '+', Some(suites)) => suites,
            (' ', Some(suites)) if !suites.is_empty() => suites,
            (' ', _) => {
                tracing::warn!("{key}: {name:?} is not available");
                continue;
            }
            _ => {
                tracing::warn!("{key}: {word:?} is not known and has no effect");
                continue;
            }
        };
        match sign {
            '!' => banned.extend(suites),
            '-' => wanted.retain(|suite| !suites.contains(suite)),
            ' ' => wanted.extend(suites),
            _ => {}
        }
    }
    wanted.retain(|suite| !banned.contains(suite));
    if wanted.is_empty() {
        if !list.is_empty() {
            tracing::warn!("{key}: none is available; all that are safe are offered");
        }
        wanted = all;
        wanted.retain(|suite| !banned.contains(suite));
    }
    let suites = &mut provider.cipher_suites;
    let is_wanted = |suite: &SupportedCipherSuite| wanted.contains(&suite.suite());
    let newest =
        |suite: &SupportedCipherSuite| suite.tls13().is_some() && !banned.contains(&suite.suite());
    let any_newest = suites.iter().any(|suite| newest(suite) && is_wanted(suite));
    suites.retain(|suite| is_wanted(suite) || newest(suite) && !any_newest);
    match suites.is_empty() {
        // There is nothing that is not banned.
        true => ring::default_provider(),
        false => provider,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(list: &[&str]) -> Vec<&'static str> {
        let list: Vec<String> = list.iter().map(|&name| name.to_owned()).collect();
        let offered = provider(&list, "ciphers").cipher_suites;
        let name = |suite: &SupportedCipherSuite| {
            let known = SUITES.iter().find(|(_, known)| *known == suite.suite());
            known.unwrap().0
        };
        let mut names: Vec<_> = offered.iter().map(name).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_list_takes_away_what_it_is_about() {
        let mut all: Vec<_> = SUITES.iter().map(|(name, _)| *name).collect();
        all.sort_unstable();
        assert_eq!(offered(&[]), all);
        assert_eq!(offered(&["DES-CBC3-SHA", "AES128-SHA"]), all);
        let (older, newest) = ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_AES_256_GCM_SHA384");
        let of_13 = |name: &&&str| name.starts_with("TLS_");
        let mut expected = vec![older];
        expected.extend(all.iter().filter(of_13));
        assert_eq!(offered(&["DES-CBC3-SHA", older]), expected);
        assert_eq!(offered(&[older, newest]), [older, newest]);
        assert_eq!(offered(&[newest]), [newest]);
    }

    /// What is offered of TLS 1.2, and how many of 1.3.
    fn older(list: &str) -> (Vec<&'static str>, usize) {
        let list: Vec<&str> = list.split(':').collect();
        let (newest, older): (Vec<_>, _) = offered(&list)
            .into_iter()
            .partition(|name| name.starts_with("TLS_"));
        (older, newest.len())
    }

    #[test]
    fn words_stand_for_families() {
        const OLDER: [&str; 6] = [
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-RSA-CHACHA20-POLY1305",
        ];
        let of = |places: &[usize]| places.iter().map(|&at| OLDER[at]).collect::<Vec<_>>();
        // Those of the documentation first, each with all that is safe of what OpenSSL finds.
        for (list, places) in [
            ("ALL", &[0, 1, 2, 3, 4, 5][..]),
            ("ALL:!eNULL", &[0, 1, 2, 3, 4, 5]),
            ("AES128:!MD5", &[0, 3]),
            ("HIGH:!aNULL:!MD5:@STRENGTH", &[0, 1, 2, 3, 4, 5]),
            ("DEFAULT:@SECLEVEL=2", &[0, 1, 2, 3, 4, 5]),
            ("DEFAULT:!AES128", &[1, 2, 4, 5]),
            ("ALL:-AES128:+AES256", &[1, 2, 4, 5]),
            ("ALL:-AES:AES128:!ECDSA", &[3, 5]),
            ("!CHACHA20:ALL:CHACHA20", &[0, 1, 3, 4]),
            ("ALL:!ECDHE-RSA-AES128-GCM-SHA256", &[0, 1, 2, 4, 5]),
            ("ECDHE+AESGCM:aRSA+CHACHA20", &[0, 1, 3, 4, 5]),
            ("aRSA+AES256", &[4]),
            ("!AES256", &[0, 2, 3, 5]),
            ("MD5:AES128", &[0, 3]),
            ("ALL:!unheard", &[0, 1, 2, 3, 4, 5]),
            // Nothing is left: all, but for what is never to be.
            ("RC4", &[0, 1, 2, 3, 4, 5]),
            ("RC4:!AES", &[2, 5]),
            ("ALL:!ALL", &[]),
        ] {
            assert_eq!(older(list), (of(places), 3), "{list}");
        }
        // Those of TLS 1.3 are themselves alone.
        assert_eq!(older("ALL:!TLS_AES_128_GCM_SHA256").1, 2);
        assert_eq!(older("AES128:TLS_AES_128_GCM_SHA256").1, 1);
        let none = "!ALL:!TLS_AES_128_GCM_SHA256:!TLS_AES_256_GCM_SHA384:\
                    !TLS_CHACHA20_POLY1305_SHA256";
        assert_eq!(older(none), (of(&[0, 1, 2, 3, 4, 5]), 3));
    }
}
