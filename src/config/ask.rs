//! What the readers ask of values. It is recorded while a [schema](super::schema) is made, so that
//! the schema has what is read, and nothing that somebody has written down beside it.

/// One question.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// Is it a string?
    Text,
    /// Is it a setting, which may be blank or one of the documentation's placeholders?
    Setting,
    /// Is it one of these words, in any case?
    Words(Vec<String>),
    /// Does it consist of these words, in any case, with signs between them?
    WordList {
        /// The words.
        words: Vec<String>,
        /// What may stand between them, as a class of characters.
        between: &'static str,
        /// What may stand in the place of a word.
        or: Option<&'static str>,
    },
    /// Has it this form, a regular expression for the whole of it? White space around it is nothing.
    Form(String),
    /// Is it true or false?
    Truth,
    /// Is it a whole number within these bounds?
    Number(u64, u64),
    /// Is it a list?
    List,
    /// Are there so many values in it, or fewer?
    AtMost(usize),
    /// Is it an object with these keys, and further ones for the sake of older files?
    Keys {
        /// The keys.
        known: Vec<&'static str>,
        /// The others.
        aliases: Vec<&'static str>,
    },
    /// Is it an object with whatever keys?
    Members,
    /// Is one of these keys in it, and says something?
    Needs(&'static [&'static str]),
    /// None of these kinds: an error, whatever else is in the file.
    Wrong,
    /// This value is never taken, whatever else is in the file.
    Never,
}
