//! A schema of what a file may be.

use serde_json::{Map, Value, json};

use super::{Object, Shape, Text};
use crate::config::driver::PLACEHOLDERS;
use crate::config::form::any_case;

/// Ranges of numbers that are written out one by one.
const FEW: i128 = 8;

/// An object that stands in several places, and where: without brackets, the shortest first.
struct Shared<'s> {
    object: &'s Object,
    paths: Vec<String>,
}

struct Renderer<'s> {
    shared: Vec<Shared<'s>>,
    describe: &'s dyn Fn(&str) -> Option<String>,
}

/// The whole of it.
pub(super) fn schema(
    title: &str,
    shape: &Shape,
    describe: &dyn Fn(&str) -> Option<String>,
) -> Value {
    let mut shared = Vec::new();
    collect(shape, "", &mut shared);
    shared.retain(|one| one.paths.len() > 1);
    for one in &mut shared {
        one.paths.sort_by_key(|path| (path.len(), path.clone()));
    }
    let renderer = Renderer { shared, describe };
    let mut top = match &shape.object {
        Some(object) => renderer.object(object, &[String::new()]),
        None => Map::new(),
    };
    let mut definitions = Map::new();
    for Shared { object, paths } in &renderer.shared {
        let members = Value::Object(renderer.object(object, paths));
        definitions.insert(paths[0].clone(), members);
    }
    let words: Vec<&str> = PLACEHOLDERS.to_vec();
    definitions.insert(
        PLACEHOLDER.to_owned(),
        json!({
            "description": "the documentation's text where a value belongs; it counts as not set",
            "type": "string",
            "pattern": whole(&words.iter().map(|word| exactly(word)).collect::<Vec<_>>().join("|")),
        }),
    );
    definitions.insert(
        SET.to_owned(),
        json!({
            "description": "it has to say something",
            "not": {"anyOf": [
                {"type": "null"},
                {"type": "string", "pattern": "^\\s*$"},
                reference(PLACEHOLDER),
            ]},
        }),
    );
    top.insert("definitions".to_owned(), Value::Object(definitions));
    top.insert(
        "$schema".to_owned(),
        json!("http://json-schema.org/draft-07/schema#"),
    );
    top.insert("title".to_owned(), json!(title));
    Value::Object(top)
}

const PLACEHOLDER: &str = "placeholder";
const SET: &str = "set";

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{name}")})
}

/// A regular expression for a whole text.
fn whole(form: &str) -> String {
    if form.is_empty() {
        return "^\\s*$".to_owned();
    }
    format!("^\\s*(?:{form})\\s*$")
}

/// A regular expression for a text as it is.
fn exactly(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "\\^$.|?*+()[]{}".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn below(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// Finds the objects with keys, and where they stand.
fn collect<'s>(shape: &'s Shape, path: &str, found: &mut Vec<Shared<'s>>) {
    if let Some(object) = &shape.object {
        if !object.keys.is_empty() && !path.is_empty() {
            match found.iter_mut().find(|one| one.object == object) {
                Some(one) => one.paths.push(path.to_owned()),
                None => found.push(Shared {
                    object,
                    paths: vec![path.to_owned()],
                }),
            }
        }
        for (key, (shape, _)) in &object.keys {
            collect(shape, &below(path, key), found);
        }
        if let Some(members) = &object.members {
            collect(members, path, found);
        }
    }
    if let Some(list) = &shape.list {
        collect(&list.one, path, found);
    }
}

impl Renderer<'_> {
    /// What a value at these places may be.
    fn value(&self, shape: &Shape, paths: &[String]) -> Map<String, Value> {
        if shape.anything {
            return Map::new();
        }
        let mut kinds = Kinds::default();
        match shape.truths[..] {
            [false, true] => kinds.types.push("boolean"),
            _ => (kinds.exact).extend(shape.truths.iter().map(|truth| json!(truth))),
        }
        kinds.numbers(&shape.numbers);
        if let Some(text) = &shape.text {
            kinds.text(text);
        }
        if let Some(list) = &shape.list {
            let one = Value::Object(self.value(&list.one, paths));
            kinds.types.push("array");
            kinds.rules.insert("items".to_owned(), one);
            if let Some(most) = list.most {
                kinds.rules.insert("maxItems".to_owned(), json!(most));
            }
        }
        if let Some(object) = &shape.object {
            match self.shared.iter().find(|one| one.object == object) {
                Some(one) => kinds.others.push(reference(&one.paths[0])),
                None => {
                    kinds.types.push("object");
                    kinds.rules.extend(self.object(object, paths));
                }
            }
        }
        if shape.null {
            kinds.types.push("null");
        }
        kinds.either()
    }

    /// The members of an object at these places.
    fn object(&self, object: &Object, paths: &[String]) -> Map<String, Value> {
        let mut properties = Map::new();
        for (key, (shape, alias)) in &object.keys {
            let paths: Vec<String> = paths.iter().map(|path| below(path, key)).collect();
            let mut value = self.value(shape, &paths);
            if let Some(text) = paths.iter().find_map(|path| (self.describe)(path)) {
                value.insert("description".to_owned(), json!(text));
            }
            if *alias {
                value.insert("deprecated".to_owned(), json!(true));
                // An editor that knows this one offers others.
                value.insert("doNotSuggest".to_owned(), json!(true));
            }
            properties.insert(key.clone(), Value::Object(value));
        }
        let members = match &object.members {
            Some(shape) => Value::Object(self.value(shape, paths)),
            None => json!(false),
        };
        let mut out = Map::new();
        out.insert("type".to_owned(), json!("object"));
        if !properties.is_empty() {
            out.insert("properties".to_owned(), Value::Object(properties));
        }
        out.insert("additionalProperties".to_owned(), members);
        let mut all = Vec::new();
        let mut required = Vec::new();
        for keys in &object.needs {
            let said = |key: &&str| {
                // One that has another name before it counts where that one is not there.
                let before = keys.iter().take_while(|other| *other != key);
                let before = before.map(|key| ((*key).to_owned(), json!({"type": "null"})));
                let mut properties: Map<String, Value> = before.collect();
                properties.insert((*key).to_owned(), reference(SET));
                json!({"required": [key], "properties": properties})
            };
            match keys {
                [key] => {
                    required.push(json!(key));
                    all.push(json!({"properties": {*key: reference(SET)}}));
                }
                keys => all.push(json!({"anyOf": keys.iter().map(said).collect::<Vec<_>>()})),
            }
        }
        if !required.is_empty() {
            out.insert("required".to_owned(), Value::Array(required));
        }
        if !all.is_empty() {
            out.insert("allOf".to_owned(), Value::Array(all));
        }
        out
    }
}

/// The kinds that a value may be of.
#[derive(Default)]
struct Kinds {
    /// Names of types, and the rules for all of them: each is about values of one type alone.
    types: Vec<&'static str>,
    rules: Map<String, Value>,
    /// Values one by one, which editors offer.
    exact: Vec<Value>,
    /// Whole schemas.
    others: Vec<Value>,
}

impl Kinds {
    fn numbers(&mut self, ranges: &[(i128, i128)]) {
        let number = |number: i128| match u64::try_from(number) {
            Ok(number) => json!(number),
            Err(_) => json!(i64::try_from(number).unwrap_or(i64::MIN)),
        };
        if let &[(least, most)] = ranges
            && least < most
        {
            self.types.push("integer");
            self.rules.insert("minimum".to_owned(), number(least));
            self.rules.insert("maximum".to_owned(), number(most));
            return;
        }
        for &(least, most) in ranges {
            if most - least < FEW {
                self.exact.extend((least..=most).map(number));
            } else {
                let (least, most) = (number(least), number(most));
                let range = json!({"type": "integer", "minimum": least, "maximum": most});
                self.others.push(range);
            }
        }
    }

    /// Words come as they are written, for editors to offer, and in any case.
    fn text(&mut self, text: &Text) {
        self.types.push("string");
        let words = text.words.iter().filter(|word| !word.is_empty());
        self.exact.extend(words.clone().map(|word| json!(word)));
        let form = match &text.form {
            Some(form) => Some(format!("(?:{form})?")),
            None if text.blank => Some(String::new()),
            None if text.words.is_empty() => None,
            None => {
                let words: Vec<String> = words.map(|word| any_case(word)).collect();
                Some(format!("(?:{})?", words.join("|")))
            }
        };
        if let Some(form) = form {
            self.rules.insert("pattern".to_owned(), json!(whole(&form)));
            if text.setting {
                self.others.push(reference(PLACEHOLDER));
            }
        }
        if text.needed {
            (self.rules).insert("allOf".to_owned(), json!([reference(SET)]));
        }
    }

    fn either(mut self) -> Map<String, Value> {
        let mut either = Vec::new();
        if !self.exact.is_empty() {
            either.push(json!({"enum": self.exact}));
        }
        either.append(&mut self.others);
        if !self.types.is_empty() {
            let types = match self.types[..] {
                [one] => json!(one),
                _ => json!(self.types),
            };
            self.rules.insert("type".to_owned(), types);
            either.push(Value::Object(self.rules));
        }
        match &mut either[..] {
            [Value::Object(one)] => std::mem::take(one),
            _ => Map::from_iter([("anyOf".to_owned(), Value::Array(either))]),
        }
    }
}
