//! An object whose keys are taken one by one; what nobody takes is unknown.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::ask::Ask;
use super::node::Node;
use super::report::{Report, Severity};

/// The members of an object that are still to be read.
#[derive(Debug)]
pub(super) struct Object<'a> {
    path: String,
    members: Vec<(String, Option<Node<'a>>)>,
    known: Vec<&'static str>,
    /// Further names of keys that are known.
    aliases: Vec<&'static str>,
}

impl<'a> Object<'a> {
    /// Takes an object apart; `None`, and a report, where it is none.
    pub(super) fn new(node: &Node<'a>, report: &mut Report) -> Option<Self> {
        let mut members: Vec<(String, Option<Node<'a>>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (name, node) in node.fields(report)? {
            match places.entry(name) {
                Entry::Occupied(before) => {
                    report.warn(&node, "the key stands here a second time; this one counts");
                    members[*before.get()].1 = Some(node);
                }
                Entry::Vacant(place) => {
                    members.push((place.key().clone(), Some(node)));
                    place.insert(members.len() - 1);
                }
            }
        }
        let path = node.path().to_owned();
        Some(Self {
            path,
            members,
            known: Vec::new(),
            aliases: Vec::new(),
        })
    }

    /// An object without members, where something shorter stands in its place.
    pub(super) fn empty(node: &Node<'a>) -> Self {
        Self::absent(node.path())
    }

    /// An object that is not in the file.
    pub(super) fn absent(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            members: Vec::new(),
            known: Vec::new(),
            aliases: Vec::new(),
        }
    }

    /// True where a member is there, and more than an empty string.
    pub(super) fn says(&self, key: &str) -> bool {
        let member = self.members.iter().find(|(name, _)| name == key);
        member.is_some_and(|(_, node)| node.as_ref().is_some_and(|node| !node.is_blank()))
    }

    /// Takes over members of another object that this one says nothing of.
    pub(super) fn inherit(&mut self, members: impl Iterator<Item = (String, Node<'a>)>) {
        for (name, node) in members {
            if !self.says(&name) {
                self.members.retain(|(known, _)| *known != name);
                self.members.push((name, Some(node)));
            }
        }
    }

    /// Takes a member. `null` is as good as absent.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.known.push(key);
        self.member(key)
    }

    /// A member that somebody else is to take as well.
    pub(super) fn look_at(&self, key: &str) -> Option<Node<'a>> {
        let member = self.members.iter().find(|(name, _)| name == key)?;
        member.1.clone().filter(|node| !node.is_null())
    }

    fn member(&mut self, key: &str) -> Option<Node<'a>> {
        let member = self.members.iter_mut().find(|(name, _)| name == key)?;
        member.1.take().filter(|node| !node.is_null())
    }

    /// Takes a member that is known for the sake of older files.
    pub(super) fn take_alias(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.aliases.push(key);
        self.member(key)
    }

    /// Takes members that are known and have no effect.
    pub(super) fn pass_over(&mut self, keys: &[&'static str]) {
        self.aliases.extend(keys);
        keys.iter().for_each(|key| drop(self.member(key)));
    }

    /// Takes a member that has several names, the first one first.
    pub(super) fn take_any(
        &mut self,
        keys: &[&'static str],
        report: &mut Report,
    ) -> Option<Node<'a>> {
        let mut found: Option<Node<'a>> = None;
        self.known.extend(keys.first());
        self.aliases.extend(keys.iter().skip(1));
        for key in keys {
            match (self.member(key), &found) {
                (Some(node), None) => found = Some(node),
                (Some(node), Some(first)) => {
                    report.warn(&node, &format!("{} says the same and counts", first.path()));
                }
                (None, _) => {}
            }
        }
        found
    }

    pub(super) fn text(&mut self, key: &'static str, report: &mut Report) -> Option<String> {
        self.take(key)?.text(report)
    }

    pub(super) fn truth(&mut self, key: &'static str, default: bool, report: &mut Report) -> bool {
        self.take(key)
            .and_then(|node| node.truth(report))
            .unwrap_or(default)
    }

    pub(super) fn number(
        &mut self,
        key: &'static str,
        bounds: std::ops::RangeInclusive<u64>,
        default: u64,
        report: &mut Report,
    ) -> u64 {
        let node = self.take(key);
        node.and_then(|n| n.number(*bounds.start(), *bounds.end(), report))
            .unwrap_or(default)
    }

    /// One of several words, in any case; an empty string is as good as absent.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        default: T,
        report: &mut Report,
    ) -> T {
        self.word_of(&[key], words, default, report)
    }

    /// The same for a key that has several names, the first one first.
    pub(super) fn word_of<T: Copy>(
        &mut self,
        keys: &[&'static str],
        words: &[(&str, T)],
        default: T,
        report: &mut Report,
    ) -> T {
        let Some(node) = self.take_any(keys, report) else {
            return default;
        };
        report.words(&node, words.iter().map(|&(word, _)| word));
        let Some(text) = node.text(report) else {
            return default;
        };
        let text = text.trim();
        if text.is_empty() {
            return default;
        }
        match words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
        {
            Some(&(_, value)) => value,
            None => {
                let words: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
                let found = crate::event::number::clip(text);
                report.error(&node, format!("{found:?} is none of {}", words.join(", ")));
                default
            }
        }
    }

    /// Warns of every key that nobody took.
    pub(super) fn finish(self, report: &mut Report) {
        for key in &self.known {
            report.know(&self.path, key);
        }
        report.ask(&self.path, || Ask::Keys {
            known: self.known.clone(),
            aliases: self.aliases.clone(),
        });
        for (name, node) in &self.members {
            let Some(node) = node else { continue };
            if self.known.contains(&name.as_str()) || self.aliases.contains(&name.as_str()) {
                continue;
            }
            if !report.has_room(Severity::Warning) {
                break;
            }
            let hint = match self.nearest(name) {
                Some(known) => format!("; did you mean \"{known}\"?"),
                None => String::new(),
            };
            report.warn(
                node,
                &format!("the key is not known and has no effect{hint}"),
            );
        }
    }

    /// The key that somebody meant who wrote this one: nearly the same, or the one that has it as
    /// one of its words.
    fn nearest(&self, name: &str) -> Option<&'static str> {
        let name: &str = &name.chars().take(64).collect::<String>();
        let alike = |known: &&str| strsim::levenshtein(name, known);
        let most = 2.max(name.chars().count() / 3);
        let nearest = self.known.iter().copied().min_by_key(alike);
        nearest.filter(|known| alike(known) <= most).or_else(|| {
            let has_it = |known: &&str| known.split('-').any(|word| word == name);
            let mut known = self.known.iter().copied().filter(has_it);
            known.next().filter(|_| known.next().is_none())
        })
    }
}
