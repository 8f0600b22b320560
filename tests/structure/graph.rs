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
    /// The graph of the files below a folder. `has_root`: names that the crate's root passes on lead to the files that have them.
    pub(crate) fn of(folder: &Path, has_root: bool) -> Self {
        let mut files = Vec::new();
        walk(folder, &mut |path| {
            let module = path.strip_prefix(folder).expect("it is below").with_extension("");
            let module = module.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("::");
            let module = if module == "lib" && has_root { String::new() } else { module };
            if !["lib", "main"].contains(&&*module) {
                files.push((module, fs::read_to_string(path).expect("it is text")));
            }
        });
        Self::new(files)
    }

    pub(crate) fn new(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let files: BTreeMap<_, _> = files.into_iter().collect();
        let names: Names = files.iter().map(|(module, text)| (module.clone(), used(&code(text)))).collect();
        let known = |(module, text): (&String, &String)| {
            let known = paths(&code(text)).into_iter().filter_map(|path| resolve(module, &path, &names));
            // A file is a part of its ancestors, which name it.
            let is_apart = |other: &String| {
                other != module && !other.is_empty() && !module.is_empty() && !module.starts_with(&format!("{other}::"))
            };
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

/// For each file the names that its `use` declarations bring into it, with their paths.
type Names = BTreeMap<String, Vec<(String, String)>>;

/// The file that a path leads to from a module, through the `use` declarations of other files; `None`: it is none of this crate's.
fn resolve(module: &str, path: &str, files: &Names) -> Option<String> {
    let mut names: Vec<&str> = path.split("::").collect();
    let mut place: Vec<&str> = match names[0] {
        "crate" => Vec::new(),
        "self" | "super" => parts(module),
        // A module below this one, named without `self`.
        first if files.contains_key(&[&parts(module)[..], &[first]].concat().join("::")) => parts(module),
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
    // The names after the file's own are items in it, or in a file that it names.
    let (file, len) =
        (0..=place.len()).rev().map(|len| (place[..len].join("::"), len)).find(|(file, _)| files.contains_key(file))?;
    let item = place.get(len).and_then(|item| files[&file].iter().find(|(name, _)| name == item));
    let elsewhere = item.and_then(|(_, path)| resolve(&file, path, files));
    elsewhere.or(Some(file)).filter(|file| !file.is_empty())
}

/// The names in a module's path.
fn parts(module: &str) -> Vec<&str> {
    module.split("::").filter(|part| !part.is_empty()).collect()
}

/// The lines of a text without comments, and without tests at the end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    code.join("\n")
}

/// The names that `use` declarations bring in, with their paths.
fn used(code: &str) -> Vec<(String, String)> {
    let mut used = Vec::new();
    for statement in code.split(';') {
        if let Some((_, tree)) = statement.rsplit_once("use ") {
            expand("", tree, &mut used);
        }
    }
    used
}

/// The paths in code: those of its `use` declarations, groups taken apart, and those that begin with `crate`, `self` or
/// `super`.
fn paths(code: &str) -> Vec<String> {
    let mut paths: Vec<String> = used(code).into_iter().map(|(_, path)| path).collect();
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

/// The names and the paths of a tree such as `a::{b, c::{d, e as f}}`.
fn expand(prefix: &str, tree: &str, used: &mut Vec<(String, String)>) {
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
                expand(&format!("{prefix}{}", head.trim()), inner, used);
            }
            None => {
                let (path, alias) = part.split_once(" as ").unwrap_or((part, part));
                let name = alias.rsplit("::").next().unwrap_or_default();
                used.push((name.trim().to_owned(), format!("{prefix}{}", path.trim())));
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
