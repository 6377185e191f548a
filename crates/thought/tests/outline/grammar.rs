//! Parses the outline author's text back into claims. A sentence of an unknown kind is an error.

use crate::claims::{Central, Claim, Definition, Definitions, Item, List, Note, Part, Planned, Purpose};

type Parsed<T> = Result<T, String>;

/// Every claim of a text, in order.
pub(crate) fn claims(text: &str) -> Parsed<Vec<Claim>> {
    let mut claims = Vec::new();
    let mut blocks = text.split("\n\n").filter(|block| !block.is_empty());
    for block in &mut blocks {
        match block.split_once('\n') {
            Some((heading, lines)) => {
                let lines: Vec<&str> = lines.split('\n').collect();
                claims.extend(headed(heading, &lines)?);
            }
            None => claims.extend(sentences(block)?),
        }
    }
    Ok(claims)
}

/// A heading with the lines below it.
fn headed(heading: &str, lines: &[&str]) -> Parsed<Vec<Claim>> {
    const ORDER: &str = "The files in the order of their dependencies, each after those of them that it builds on";
    Ok(vec![match heading {
        "Its parts, with the source files developed here:" => Claim::Parts(all(lines, part)?),
        "Of the files developed here, others need these most:" => Claim::NeededMost(all(lines, central)?),
        "These depend on each other in a ring, and are written one right after the other:" => {
            Claim::Rings(all(lines, |line| whole_list(line.strip_prefix("- ").ok_or("no item")?))?)
        }
        heading => {
            let excepted = match heading.strip_prefix(ORDER) {
                Some(":") => false,
                Some(", save where files depend on each other in a ring:") => true,
                _ => return Err(format!("unknown heading: {heading}")),
            };
            return Ok(vec![Claim::Order(excepted), Claim::Plan(all(lines, planned)?)]);
        }
    }])
}

fn all<T>(lines: &[&str], parse: impl Fn(&str) -> Parsed<T>) -> Parsed<Vec<T>> {
    lines.iter().map(|line| parse(line).map_err(|error| format!("{error} in line: {line}"))).collect()
}

/// Sentences of one paragraph.
fn sentences(paragraph: &str) -> Parsed<Vec<Claim>> {
    if paragraph.starts_with("Next is `") {
        return opening(paragraph);
    }
    let mut rest = paragraph;
    let mut claims = Vec::new();
    while !rest.is_empty() {
        let (claim, after) = sentence(rest)?;
        claims.push(claim);
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    Ok(claims)
}

fn sentence(text: &str) -> Parsed<(Claim, &str)> {
    let fixed = [
        ("It builds on no other file of the project.", Claim::BuildsOnNothing),
        ("The order of the files follows their dependencies.", Claim::LeastOrder),
        ("This file is next.", Claim::LeastFile),
    ];
    if let Some((claim, rest)) = fixed.into_iter().find_map(|(start, it)| Some((it, text.strip_prefix(start)?))) {
        return Ok((claim, rest));
    }
    type ListClaim = fn(List) -> Claim;
    let listed: [(&str, ListClaim); 7] = [
        ("It builds on ", Claim::BuildsOn),
        ("From outside it needs ", Claim::NeedsFromOutside),
        ("Others depend on it: ", Claim::OthersDepend),
        ("Tests import it: ", Claim::TestsImport),
        ("It defines ", Claim::Defines),
        ("No other file imports these: ", Claim::NotImported),
        ("From outside, the files developed here use ", Claim::UsesFromOutside),
    ];
    for (start, claim) in listed {
        if let Some(rest) = text.strip_prefix(start) {
            let (list, rest) = list(rest)?;
            return Ok((claim(list), expect(rest, ".")?));
        }
    }
    for (start, first) in [("It opens with ", true), ("Then comes ", false), ("Then come ", false)] {
        if let Some(rest) = text.strip_prefix(start) {
            let (mut definitions, mut rest) = definitions(rest)?;
            if let Some(after) = rest.strip_prefix(", which holds ") {
                let last = definitions.told.last_mut().ok_or("nothing holds anything")?;
                (last.inner, rest) = self::definitions(after)?;
            }
            let several = definitions.told.iter().map(|it| it.times).sum::<usize>() > 1;
            if !first && several == (start == "Then comes ") {
                return Err(format!("number of the verb: {text}"));
            }
            return Ok((Claim::Holds(first, definitions), expect(rest, ".")?));
        }
    }
    if let Some(rest) = text.strip_prefix("In `") {
        let (path, rest) = rest.split_once('`').ok_or("code without an end")?;
        let (list, rest) = list(expect(rest, " it finds ")?)?;
        return Ok((Claim::FindsThere(path.into(), list), expect(rest, ".")?));
    }
    match text.strip_prefix("The project is ") {
        Some(rest) if rest.starts_with('`') => scale(rest),
        Some(rest) => Ok((Claim::LeastProject(rest.strip_suffix('.').ok_or("no full stop")?.into()), "")),
        None if text.starts_with("Beside them ") => beside(text),
        None if text.starts_with('`') => named(text),
        None => Err(format!("unknown sentence: {text}")),
    }
}

/// `Next is …: purpose.`, with the number of lines.
fn opening(paragraph: &str) -> Parsed<Vec<Claim>> {
    let mut claims = Vec::new();
    let mut rest = paragraph.strip_prefix("Next is ").ok_or("no opening")?;
    let mut lines = None;
    if let Some((before, told)) = rest.rsplit_once(" It comes to ") {
        let (number, after) = counted(told, "line")?;
        if after != "." {
            return Err(format!("unknown sentence: It comes to {told}"));
        }
        (rest, lines) = (before, Some(number));
    }
    let clause = rest.strip_suffix('.').or(rest.ends_with('…').then_some(rest)).ok_or("no full stop")?;
    claims.push(Claim::Next(purpose(clause)?));
    claims.extend(lines.map(Claim::Lines));
    Ok(claims)
}

fn purpose(text: &str) -> Parsed<Purpose> {
    let (path, rest) = code(text)?;
    Ok(Purpose { path, clause: expect(rest, ": ")?.into() })
}

fn scale(text: &str) -> Parsed<(Claim, &str)> {
    let (name, rest) = code(text)?;
    let mut rest = expect(rest, ". Developed here: ")?;
    let (mut languages, mut other) = (Vec::new(), 0);
    loop {
        let (number, after) = match counted(rest, "other file") {
            Ok((number, after)) => {
                other = number;
                (None, after)
            }
            Err(_) => {
                let (number, after) = counted(rest, "file")?;
                (Some(number), after)
            }
        };
        rest = after;
        if let Some(number) = number {
            rest = expect(rest, " of ")?;
            let end = rest.find([',', ' ', ';']).ok_or("no end of the language")?;
            languages.push((number, rest[..end].to_owned()));
            rest = &rest[end..];
        }
        match rest.strip_prefix(", ").or_else(|| rest.strip_prefix(" and ")) {
            Some(after) => rest = after,
            None => break,
        }
    }
    let (lines, rest) = counted(expect(rest, "; ")?, "line")?;
    Ok((Claim::Scale(name, languages, other, lines), expect(rest, " in all.")?))
}

fn beside(text: &str) -> Parsed<(Claim, &str)> {
    let (number, rest) = counted(expect(text, "Beside them ")?, "file")?;
    let verb = if number == 1 { " exists" } else { " exist" };
    Ok((Claim::Beside(number), expect(expect(rest, verb)?, " without being developed here.")?))
}

/// A sentence that begins with names.
fn named(text: &str) -> Parsed<(Claim, &str)> {
    let (names, rest) = list(text)?;
    for (what, claim) in
        [(" may give nothing back.", Claim::MayGiveNothing as fn(List) -> Claim), (" may fail.", Claim::MayFail)]
    {
        if let Some(rest) = rest.strip_prefix(what) {
            return Ok((claim(names), rest));
        }
    }
    if let Some(rest) = rest.strip_prefix(" also holds ") {
        let (definitions, rest) = definitions(rest)?;
        return Ok((Claim::AlsoHolds(names.items[0].name.clone(), definitions), expect(rest, ".")?));
    }
    reads(text)
}

fn reads(text: &str) -> Parsed<(Claim, &str)> {
    let (path, rest) = code(text)?;
    let (list, rest) = list(expect(rest, " builds on ")?)?;
    let rest = expect(rest, ". I read ")?;
    let one = rest.starts_with("it ");
    let rest = expect(rest, if one { "it" } else { "them" })?;
    Ok((Claim::Reads(path, list, one), expect(rest, " before I write it.")?))
}

/// Definitions in a row. A kind with a number is that of as many as it says.
fn definitions(text: &str) -> Parsed<(Definitions, &str)> {
    let (mut definitions, mut rest) = (Definitions::default(), text);
    let (mut kind, mut of_kind) = (String::new(), 0_usize);
    loop {
        if let Some(after) = rest.strip_prefix("the ") {
            let open = after.find('`').ok_or("no code")?;
            let word = after[..open].trim_end();
            (kind, of_kind) = match word.split_once(' ') {
                Some((number, many)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                    (singular(many), number.parse().map_err(|_| "no number")?)
                }
                _ => (word.to_owned(), 1),
            };
            rest = &after[open..];
        }
        let own = if of_kind > 0 { kind.clone() } else { String::new() };
        of_kind = of_kind.saturating_sub(1);
        let (code, after) = code(rest)?;
        let (definition, after) = noted(code, own, after)?;
        definitions.told.push(definition);
        let begins = |rest: &str| rest.starts_with('`') || rest.starts_with("the ");
        if let Some(after) = after.strip_prefix(", ").filter(|after| begins(after)) {
            rest = after;
            continue;
        }
        let Some(last) = after.strip_prefix(" and ") else { return Ok((definitions, after)) };
        if begins(last) {
            rest = last;
            continue;
        }
        let (more, after) = last.split_once(" more").ok_or_else(|| format!("unknown end of definitions: {last}"))?;
        definitions.more = more.parse().map_err(|_| format!("no number of definitions: {more}"))?;
        return Ok((definitions, after));
    }
}

fn singular(kinds: &str) -> String {
    let stem = kinds.strip_suffix("ies").map(|stem| format!("{stem}y"));
    let hissing = || kinds.strip_suffix("es").filter(|stem| stem.ends_with('s')).map(String::from);
    stem.or_else(hissing).unwrap_or_else(|| kinds.trim_end_matches('s').to_owned())
}

/// A definition with what stands in parentheses behind it.
fn noted(code: String, kind: String, text: &str) -> Parsed<(Definition, &str)> {
    let mut definition = Definition { kind, code, lines: None, doc: None, times: 1, inner: Definitions::default() };
    let Some(mut rest) = text.strip_prefix(" (") else { return Ok((definition, text)) };
    loop {
        if let Some(quoted) = rest.strip_prefix('“') {
            let (doc, after) = quoted.split_once('”').ok_or("a quotation without an end")?;
            (definition.doc, rest) = (Some(doc.into()), after);
        } else if let Some(after) = rest.strip_prefix("which holds ") {
            (definition.inner, rest) = definitions(after)?;
        } else if let Ok((lines, after)) = counted(rest, "line") {
            (definition.lines, rest) = (Some(lines), after);
        } else {
            (definition.times, rest) = counted(rest, "time")?;
        }
        match rest.strip_prefix("; ") {
            Some(after) => rest = after,
            None => return Ok((definition, expect(rest, ")")?)),
        }
    }
}

fn part(line: &str) -> Parsed<Part> {
    let rest = expect(line, "- ")?;
    let (directory, rest) = match rest.strip_prefix("the root") {
        Some(rest) => (String::new(), rest),
        None => {
            let (directory, rest) = code(rest)?;
            (directory.strip_suffix('/').ok_or("no directory")?.to_owned(), rest)
        }
    };
    let (rest, names) = tail(rest, "; with ")?;
    let (files, rest) = counted(expect(rest, ": ")?, "file")?;
    let (doc, stems) = (rest.strip_prefix(", ").map(String::from), rest.strip_prefix(" for ").map(String::from));
    if doc.is_none() && stems.is_none() {
        return Err(format!("neither documentation nor names: {rest}"));
    }
    Ok(Part { directory, files, doc, stems, names })
}

fn central(line: &str) -> Parsed<Central> {
    let (rest, offers) = tail(expect(line, "- ")?, "; it offers ")?;
    let (clause, number) = rest.rsplit_once(", needed by ").ok_or("nobody needs it")?;
    let (needed_by, rest) = counted(number, "file")?;
    end(Central { purpose: purpose(clause)?, needed_by, offers }, rest)
}

fn planned(line: &str) -> Parsed<Planned> {
    let (number, rest) = line.split_once(". ").ok_or("no number")?;
    let number = number.parse().map_err(|_| format!("no number: {number}"))?;
    let (rest, signatures) = tail(rest, "; as ")?;
    let (rest, builds_on) = tail(rest, "; builds on ")?;
    let (rest, defines) = tail(rest, "; defines ")?;
    Ok(Planned { number, purpose: purpose(rest)?, defines, builds_on, signatures })
}

/// A list at the end of a line, behind `word`.
fn tail<'t>(text: &'t str, word: &str) -> Parsed<(&'t str, Option<List>)> {
    match text.rsplit_once(&format!("{word}`")) {
        None => Ok((text, None)),
        Some((before, _)) => Ok((before, Some(whole_list(&text[before.len() + word.len()..])?))),
    }
}

fn whole_list(text: &str) -> Parsed<List> {
    let (list, rest) = list(text)?;
    end(list, rest)
}

/// A list of code, each item perhaps with a note.
fn list(text: &str) -> Parsed<(List, &str)> {
    let (mut items, mut rest) = (Vec::new(), text);
    loop {
        let (name, after) = code(rest)?;
        let (note, after) = note(after)?;
        items.push(Item { name, note });
        if let Some(after) = after.strip_prefix(", ").filter(|after| after.starts_with('`')) {
            rest = after;
            continue;
        }
        let Some(last) = after.strip_prefix(" and ") else { return Ok((List { items, more: 0 }, after)) };
        if last.starts_with('`') {
            rest = last;
            continue;
        }
        let (more, after) = last.split_once(" more").ok_or_else(|| format!("unknown end of a list: {last}"))?;
        let more = more.parse().map_err(|_| format!("no number of items: {more}"))?;
        return Ok((List { items, more }, after));
    }
}

fn note(text: &str) -> Parsed<(Note, &str)> {
    let Some(inside) = text.strip_prefix(" (") else { return Ok((Note::None, text)) };
    for word in ["for ", "which takes "] {
        if let Some(names) = inside.strip_prefix(word) {
            let (names, rest) = list(names)?;
            return Ok((Note::Names(names), expect(rest, ")")?));
        }
    }
    for standing in ["not developed here", "empty"] {
        if let Some(rest) = inside.strip_prefix(standing) {
            return Ok((Note::Standing(standing.into()), expect(rest, ")")?));
        }
    }
    Err(format!("unknown note: ({inside}"))
}

fn code(text: &str) -> Parsed<(String, &str)> {
    let inside = text.strip_prefix('`').ok_or_else(|| format!("no code: {text}"))?;
    let (code, rest) = inside.split_once('`').ok_or_else(|| format!("code without an end: {inside}"))?;
    Ok((code.into(), rest))
}

/// `1 noun`, `2 nouns`.
fn counted<'t>(text: &'t str, noun: &str) -> Parsed<(usize, &'t str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().map_err(|_| format!("no number: {text}"))?;
    let rest = expect(&text[digits..], " ").and_then(|rest| expect(rest, noun))?;
    Ok((number, if number == 1 { rest } else { expect(rest, "s")? }))
}

fn expect<'t>(text: &'t str, start: &str) -> Parsed<&'t str> {
    text.strip_prefix(start).ok_or_else(|| format!("`{start}` expected: {text}"))
}

fn end<T>(parsed: T, rest: &str) -> Parsed<T> {
    if rest.is_empty() { Ok(parsed) } else { Err(format!("unknown end: {rest}")) }
}
