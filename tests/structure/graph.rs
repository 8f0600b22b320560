//! The files of a crate, and the files that each of them knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Which files a file knows, by module paths without `crate`.
#[derive(Debug)]
pub(crate) struct Graph(BTreeMap<String, BTreeSet<String>>);

impl Graph {
    /// The graph of the files below a folder.
    pub(crate) fn of(folder: &Path) -> Self {
        let mut files = Vec::new();
        walk(folder, &mut |path| {
            let module = path.strip_prefix(folder).expect("it is below").with_extension("");
            let module = module.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("::");
            if !["lib", "main"].contains(&&*module) {
                files.push((module, fs::read_to_string(path).expect("it is text")));
            }
        });
        Self::new(files)
    }

    pub(crate) fn new(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let files: BTreeMap<_, _> = files.into_iter().collect();
        let known = |(module, text): (&String, &String)| {
            let known = paths(text).into_iter().filter_map(|path| resolve(module, &path, &files));
            // A file is a part of its ancestors, which name it.
            let is_apart = |other: &String| other != module && !module.starts_with(&format!("{other}::"));
            (module.clone(), known.filter(is_apart).collect())
        };
        Self(files.iter().map(known).collect())
    }

    pub(crate) fn files(&self) -> usize {
        self.0.len()
    }

    /// Groups of files, each of which leads to every other; in the order of their names.
    pub(crate) fn circles(&self) -> Vec<Vec<&str>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> = self.0.keys().map(|file| (&**file, self.reached(file))).collect();
        let mut circles = BTreeSet::new();
        for (&file, reached) in &reach {
            if reached.contains(file) {
                let circle: Vec<_> = reached.iter().copied().filter(|other| reach[other].contains(file)).collect();
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reached(&self, from: &str) -> BTreeSet<&str> {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(file) = next.pop() {
            for other in &self.0[file] {
                if reached.insert(&**other) {
                    next.push(other);
                }
            }
        }
        reached
    }
}

/// The file that a path leads to from a module; `None`: it is none of this crate's.
fn resolve(module: &str, path: &str, files: &BTreeMap<String, String>) -> Option<String> {
    let mut names: Vec<&str> = path.split("::").collect();
    let mut place: Vec<&str> = match names[0] {
        "crate" => Vec::new(),
        "self" | "super" => module.split("::").collect(),
        // A module below this one, named without `self`.
        first if files.contains_key(&format!("{module}::{first}")) => module.split("::").collect(),
        _ => return None,
    };
    while let Some(&first) = names.first()
        && ["crate", "self", "super"].contains(&first)
    {
        if first == "super" {
            place.pop();
        }
        names.remove(0);
    }
    place.extend(names);
    // The names after the file's own are items in it.
    (1..=place.len()).rev().map(|len| place[..len].join("::")).find(|file| files.contains_key(file))
}

/// The paths in a text: those of its `use` declarations, groups taken apart, and those that begin with `crate`, `self` or
/// `super`. Comments and tests at the end are left out.
fn paths(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut paths = Vec::new();
    for statement in code.split(';') {
        if let Some((_, tree)) = statement.rsplit_once("use ") {
            expand("", tree, &mut paths);
        }
    }
    for begin in ["crate::", "self::", "super::"] {
        for (at, _) in code.match_indices(begin) {
            let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let path: String = code[at..].chars().take_while(|&c| is_path(c)).collect();
            let is_whole = !code[..at].ends_with(is_path);
            if is_whole {
                paths.push(path.trim_end_matches(':').to_owned());
            }
        }
    }
    paths
}

/// The paths of a tree such as `a::{b, c::{d, e}}`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let (mut depth, mut begin) = (0, 0);
    let mut parts = Vec::new();
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&tree[begin..at]);
                begin = at + 1;
            }
            _ => (),
        }
    }
    parts.push(&tree[begin..]);
    for part in parts.into_iter().map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('{') {
            Some((head, rest)) => {
                let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
                expand(&format!("{prefix}{}", head.trim()), inner, paths);
            }
            None => {
                let name = part.split(" as ").next().unwrap_or_default();
                paths.push(format!("{prefix}{}", name.trim()));
            }
        }
    }
}

/// Calls `found` with every Rust file below a folder.
pub(crate) fn walk(folder: &Path, found: &mut impl FnMut(&Path)) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("it is a folder").map(|entry| entry.expect("an entry")).collect();
    entries.sort_by_key(fs::DirEntry::path);
    for path in entries.into_iter().map(|entry| entry.path()) {
        if path.is_dir() {
            // A target directory has generated files.
            if path.file_name().is_some_and(|name| name != "target") {
                walk(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found(&path);
        }
    }
}
