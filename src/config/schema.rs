//! JSON schemas (draft 7) of the driver file and the users file, for editors.
//!
//! Nobody writes them: small files are made and given to the readers, and what these ask of each
//! value is what the schema says of it. So the readers are the one place where it stands what a key
//! takes. What depends on other keys, or on other files, is not in a schema.
//!
//! Keys that the readers know for the sake of older files are `deprecated`.

mod render;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::node::Node;
use super::report::Report;
use super::{driver, users};

/// A text that is nothing that any reader knows, nor a file that can be there.
const TEXT: &str = "/dev/null/nothing";
/// A member whose name is anybody's.
const ANY: &str = "any";
/// Bounds that are looked at number by number.
const FEW: u64 = 1001;

/// The schema of the driver file. `describe` tells what a key like `mqtt.will.topic` means.
#[must_use]
pub fn driver(describe: &dyn Fn(&str) -> Option<String>) -> Value {
    let read = |root: &Node<'_>, report: &mut Report| drop(driver::read(root, false, report));
    // Some keys of the top mean another thing in the files of other drivers.
    let files = [
        json!({}),
        json!({"interface": "ws://localhost"}),
        json!({"remote": {"host": "localhost", "user": "link"}}),
    ];
    let shape = Explorer {
        read,
        files: &files,
    }
    .shape(&mut Vec::new());
    render::schema("The driver file of vscpl2drv-link", &shape, describe)
}

/// The schema of the users file, as [`driver`].
#[must_use]
pub fn users(describe: &dyn Fn(&str) -> Option<String>) -> Value {
    let read = |root: &Node<'_>, report: &mut Report| drop(users::read(root, report));
    let files = [json!({})];
    let shape = Explorer {
        read,
        files: &files,
    }
    .shape(&mut Vec::new());
    render::schema("The users file of vscpl2drv-link", &shape, describe)
}

/// What a value may be.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shape {
    /// As good as absent.
    null: bool,
    /// Whatever it is, nobody looks.
    anything: bool,
    truths: Vec<bool>,
    /// Whole numbers: least and most of each range.
    numbers: Vec<(i128, i128)>,
    text: Option<Text>,
    list: Option<Box<List>>,
    object: Option<Object>,
}

/// What a text may be.
#[derive(Clone, Debug, Default, PartialEq)]
struct Text {
    /// Blank is as good as absent, and so is one of the documentation's placeholders.
    setting: bool,
    /// It has to say something.
    needed: bool,
    /// Nothing but blank is taken.
    blank: bool,
    words: Vec<String>,
    /// A regular expression for all of it, but for white space around it.
    form: Option<String>,
}

/// What a list may be.
#[derive(Clone, Debug, PartialEq)]
struct List {
    one: Shape,
    most: Option<usize>,
}

/// What an object may be.
#[derive(Clone, Debug, Default, PartialEq)]
struct Object {
    /// By name; true for those that are there for the sake of older files.
    keys: BTreeMap<String, (Shape, bool)>,
    /// What members of other names may be.
    members: Option<Box<Shape>>,
    /// Of each of these lists one key has to be there.
    needs: Vec<&'static [&'static str]>,
}

/// A step from the file to a value.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    /// To the only value of a list.
    One,
}

/// What a reader makes of a value.
struct Answer {
    /// It is not refused for being what it is.
    taken: bool,
    asks: Vec<Ask>,
}

struct Explorer<'f, R> {
    read: R,
    /// What else is in the file.
    files: &'f [Value],
}

impl<R: Fn(&Node<'_>, &mut Report)> Explorer<'_, R> {
    /// What the value at the end of the way may be.
    fn shape(&self, way: &mut Vec<Step>) -> Shape {
        let blank = self.answer(way, &json!(""));
        let text = self.answer(way, &json!(TEXT));
        let list = self.answer(way, &json!([]));
        let object = self.answer(way, &json!({}));
        let samples = [&blank, &text, &list, &object];
        let mut shape = Shape {
            null: self.answer(way, &Value::Null).taken,
            anything: samples.iter().all(|one| one.taken && one.asks.is_empty()),
            ..Shape::default()
        };
        if shape.anything {
            return shape;
        }
        let truths = [false, true].into_iter();
        shape.truths = truths
            .filter(|truth| self.answer(way, &json!(truth)).taken)
            .collect();
        shape.numbers = self.numbers(way);
        if blank.taken || text.taken {
            let asks = [&blank, &text].into_iter().filter(|one| one.taken);
            let mut found = texts(asks.flat_map(|one| &one.asks));
            found.blank = !text.taken && found.words.is_empty();
            shape.text = Some(found);
        }
        if list.taken {
            way.push(Step::One);
            let mut one = self.shape(way);
            way.pop();
            // Some forms are told of the list, for each text in it.
            let of_all = texts(&list.asks);
            if let Some(text) = &mut one.text
                && (of_all.form.is_some() || !of_all.words.is_empty())
            {
                *text = of_all;
            }
            let mut bounds = list.asks.iter();
            let most = bounds.find_map(|ask| match ask {
                Ask::AtMost(most) => Some(*most),
                _ => None,
            });
            shape.list = Some(Box::new(List { one, most }));
        }
        if object.taken {
            shape.object = Some(self.object(way, &object.asks));
        }
        shape
    }

    /// The whole numbers that are taken.
    fn numbers(&self, way: &[Step]) -> Vec<(i128, i128)> {
        let (mut bounds, mut found) = (BTreeSet::new(), Vec::new());
        for sample in [0_i64, 1, -1] {
            let answer = self.answer(way, &json!(sample));
            let asked = answer.asks.iter().filter_map(|ask| match *ask {
                Ask::Number(least, most) => Some((i128::from(least), i128::from(most))),
                _ => None,
            });
            let mut any = false;
            for one in asked {
                any = true;
                bounds.insert(one);
            }
            if !any && answer.taken {
                // It means something of its own.
                found.push((sample.into(), sample.into()));
            }
        }
        for (least, most) in bounds {
            if most - least < FEW.into() {
                let each = (least..=most).filter(|&number| {
                    let number = i64::try_from(number).unwrap_or_default();
                    self.answer(way, &json!(number)).taken
                });
                found.extend(each.map(|number| (number, number)));
            } else {
                found.push((least, most));
            }
        }
        merged(found)
    }

    fn object(&self, way: &mut Vec<Step>, asks: &[Ask]) -> Object {
        let mut object = Object::default();
        let mut names: BTreeMap<&str, bool> = BTreeMap::new();
        for ask in asks {
            match ask {
                Ask::Keys { known, aliases } => {
                    names.extend(known.iter().map(|key| (*key, false)));
                    for key in aliases {
                        names.entry(key).or_insert(true);
                    }
                }
                Ask::Members => {
                    way.push(Step::Key(ANY.to_owned()));
                    object.members = Some(Box::new(self.shape(way)));
                    way.pop();
                }
                Ask::Needs(keys) if !object.needs.contains(keys) => object.needs.push(keys),
                _ => {}
            }
        }
        for (name, alias) in names {
            way.push(Step::Key(name.to_owned()));
            object
                .keys
                .insert(name.to_owned(), (self.shape(way), alias));
            way.pop();
        }
        object
    }

    /// Has a value read at the end of the way.
    fn answer(&self, way: &[Step], value: &Value) -> Answer {
        // What is deeper down does not depend on what else is in the file.
        let files = if way.len() > 2 {
            &self.files[..1]
        } else {
            self.files
        };
        let mut answer = Answer {
            taken: false,
            asks: Vec::new(),
        };
        for file in files {
            let asks = self.asks(file, way, value);
            if !asks
                .iter()
                .any(|ask| matches!(ask, Ask::Wrong | Ask::Never))
            {
                answer.taken = true;
                answer.asks.extend(asks);
            }
        }
        answer
    }

    fn asks(&self, file: &Value, way: &[Step], value: &Value) -> Vec<Ask> {
        let mut file = file.clone();
        let (mut at, mut path) = (&mut file, String::new());
        for step in way {
            match step {
                Step::Key(key) => {
                    let dot = if path.is_empty() { "" } else { "." };
                    path.push_str(&format!("{dot}{key}"));
                    if !at.is_object() {
                        *at = Value::Object(Map::new());
                    }
                    at = &mut at[key.as_str()];
                }
                Step::One => {
                    path.push_str("[0]");
                    *at = json!([null]);
                    at = &mut at[0];
                }
            }
        }
        *at = value.clone();
        let (text, mut report) = (file.to_string(), Report::asking());
        if let Some(root) = Node::root(&text, &mut report) {
            (self.read)(&root, &mut report);
        }
        report.asked_of(&path).collect()
    }
}

/// What is asked of a text.
fn texts<'a>(asks: impl IntoIterator<Item = &'a Ask>) -> Text {
    let mut found = Text::default();
    for ask in asks {
        match ask {
            Ask::Setting => found.setting = true,
            Ask::Needs(_) => found.needed = true,
            Ask::Words(words) => found.words.clone_from(words),
            Ask::WordList { words, between, or } => {
                found.form = Some(super::form::words(words, between, *or));
                found.words.clone_from(words);
            }
            Ask::Form(form) => found.form = Some(form.clone()),
            _ => {}
        }
    }
    found
}

/// Ranges in order, those that touch as one.
fn merged(mut ranges: Vec<(i128, i128)>) -> Vec<(i128, i128)> {
    ranges.sort_unstable();
    let mut found: Vec<(i128, i128)> = Vec::new();
    for (least, most) in ranges {
        match found.last_mut() {
            Some((_, last)) if least <= *last + 1 => *last = most.max(*last),
            _ => found.push((least, most)),
        }
    }
    found
}
