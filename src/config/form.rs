//! The forms of texts, for the [schema](super::schema): regular expressions, in the words that
//! ECMA 262 and Python share.
//!
//! None refuses what the reader of that text takes, and none has to refuse all that the reader
//! does: a number that is too large, or a group too many, is found by the reader alone.

/// A number, in any base.
pub(super) const NUMBER: &str = "(?:[0-9]+|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)";
/// Up to four bytes of a GUID.
const GROUP: &str = "\\s*[0-9a-fA-F]{1,8}\\s*";

/// `priority,class,type,GUID`, and a number that nobody needs.
pub(super) fn filter() -> String {
    let number = format!("\\s*{NUMBER}?\\s*");
    let guid = format!("\\s*(?:{})?\\s*", guid());
    format!("{number}(?:,{number}(?:,{number}(?:,{guid}(?:,{number})?)?)?)?")
}

/// `FILTER;MASK`, or all fields with commas.
pub(super) fn filter_and_mask() -> String {
    format!("{0}(?:[;,]{0})?", filter())
}

/// A GUID; commas within it are within braces.
pub(super) fn guid() -> String {
    let uuid = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
    let forms = |between: &str| {
        format!(
            "-|::|::{GROUP}(?::{GROUP})*|-:{GROUP}(?:{between}{GROUP})*|{uuid}|{GROUP}(?::{GROUP}){{3,15}}"
        )
    };
    format!("(?:{}|\\{{\\s*(?:{})\\s*\\}})", forms(":"), forms("[:,]"))
}

/// Networks with commas between them, each with `+` or `-` or without.
pub(super) fn remotes() -> String {
    list("[+-]?\\s*(?:\\*|[0-9a-fA-F.:/*]+)")
}

/// The same, with these names of uplinks among them.
pub(super) fn askers(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| any_case(name)).collect();
    let names = names.join("|");
    list(&format!("[+-]?\\s*(?:\\*|[0-9a-fA-F.:/*]+|{names})"))
}

/// Addresses to listen on, with commas between them.
pub(super) fn interfaces(schemes: &[&str]) -> String {
    list(&interface(schemes, "[rsS]?"))
}

/// An address to listen on; what may stand behind the port says whether TLS is spoken.
pub(super) fn interface(schemes: &[&str], suffix: &str) -> String {
    let schemes: Vec<String> = schemes.iter().map(|scheme| any_case(scheme)).collect();
    let schemes = schemes.join("|");
    let port = format!("[0-9]+{suffix}");
    let host = "(?:\\*|[-0-9A-Za-z._]*|\\[[0-9a-fA-F:.]+\\])";
    // Without brackets the last number is the port.
    let bare = format!("[0-9a-fA-F:.]+:{port}");
    format!("(?:(?:{schemes})://)?(?:\\+{port}|{host}(?::{port})?|{bare}|{port})/?")
}

/// A host with one of these protocols before it, or none.
pub(super) fn host(schemes: &[&str]) -> String {
    let schemes = schemes.join("|");
    format!("(?:(?:{schemes})://[\\s\\S]*|(?![\\s\\S]*://)[\\s\\S]*)")
}

/// An IP address.
pub(super) fn address() -> String {
    "[0-9a-fA-F:.]+".to_owned()
}

/// An IPv4 address of a group.
pub(super) fn group() -> String {
    "2(?:2[4-9]|3[0-9])(?:\\.[0-9]{1,3}){3}".to_owned()
}

/// The name of a link.
pub(super) fn name(most: usize) -> String {
    format!("[-0-9A-Za-z_:][-0-9A-Za-z._:]{{0,{}}}", most - 1)
}

/// The path of a websocket: what can be seen of ASCII, but for `?`, `*` and `#`.
pub(super) fn path() -> String {
    "[!\"$-)+->@-~]*".to_owned()
}

/// An absolute path of a file, of any system.
pub(super) fn absolute() -> String {
    "(?:/|[A-Za-z]:[\\\\/](?!/)|\\\\\\\\)[\\s\\S]*".to_owned()
}

/// Web pages that may connect.
pub(super) fn origin() -> String {
    "(?:\\*|[nN][uU][lL][lL]|[A-Za-z][-0-9A-Za-z+.]*://(?:[-0-9A-Za-z._]+|\\[[0-9a-fA-F:.]+\\])(?::\\+?[0-9]+)?)"
        .to_owned()
}

/// A stored password.
pub(super) fn credential() -> String {
    "(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{32}\\s*;\\s*[0-9a-fA-F]{64})".to_owned()
}

/// Events that a user may send and receive, with commas between them.
pub(super) fn events() -> String {
    let code = format!("\\s*(?:\\*|-1|{NUMBER})\\s*");
    let way = ["tx", "rx", "both"].map(any_case).join("|");
    list(&format!(
        "\\[?(?:{code}:{code}|\\s*(?:{way})?\\s*;{code};{code}(?:;\\s*{NUMBER}?\\s*)?)\\]?"
    ))
}

/// Something with commas between it, and white space around it; it may be absent.
fn list(one: &str) -> String {
    format!("(?:{one})?(?:\\s*,\\s*(?:{one})?)*")
}

/// A word in whatever case.
pub(super) fn any_case(word: &str) -> String {
    let letter = |c: char| match (c.to_ascii_lowercase(), c.to_ascii_uppercase()) {
        (lower, upper) if lower != upper => format!("[{lower}{upper}]"),
        _ if c.is_ascii_alphanumeric() || "-_ ".contains(c) => c.to_string(),
        _ => format!("\\{c}"),
    };
    word.chars().map(letter).collect()
}

/// Words in any case with signs between them; `or` may stand in the place of a word.
pub(super) fn words(words: &[String], between: &str, or: Option<&str>) -> String {
    let words = words.iter().map(|word| any_case(word));
    let words: Vec<String> = words.chain(or.map(str::to_owned)).collect();
    let one = words.join("|");
    format!("{between}*(?:(?:{one})(?:{between}+(?:{one}))*{between}*)?")
}
