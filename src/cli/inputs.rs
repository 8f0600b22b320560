//! The files that the arguments of a command name.

use std::path::{Path, PathBuf};

use super::{error::Error, files::STANDARD};

const FLAG: &str = "INPUT";

/// The files of these arguments, in their order; those of a pattern in the order of their names.
///
/// # Errors
/// No file has a name that matches a pattern; a folder cannot be read; standard input is one of several.
pub(super) fn expand(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    for argument in arguments {
        match argument.to_str().filter(|text| text.contains(['*', '?', '[']) && argument.symlink_metadata().is_err()) {
            Some(pattern) => paths.extend(matching(argument, pattern)?),
            None => paths.push(argument.clone()),
        }
    }
    if paths.len() > 1 && paths.iter().any(|path| path.as_os_str() == STANDARD) {
        return Err(Error::usage(FLAG, "standard input (`-`) cannot be one of several"));
    }
    Ok(paths)
}

fn matching(argument: &Path, pattern: &str) -> Result<Vec<PathBuf>, Error> {
    // As a shell has it: a dot at the beginning of a name is matched by a dot alone.
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::default() };
    // What is no pattern is the name of a file that is not there.
    let Ok(found) = glob::glob_with(pattern, options) else { return Ok(vec![argument.to_owned()]) };
    let paths = found
        .map(|path| path.map_err(|error| Error::file(error.path(), error.error())))
        .collect::<Result<Vec<_>, _>>()?;
    if paths.is_empty() {
        return Err(Error::file(argument, "no file has a name that matches"));
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn patterns_are_expanded_in_order_and_names_stay() -> Outcome {
        let folder = tempfile::tempdir()?;
        for name in ["m-2.npy", "m-1.npy", ".m-3.npy", "x[1].npy", "x1.npy"] {
            fs::write(folder.path().join(name), b"")?;
        }
        let expand = |names: &[&str]| {
            let paths: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
            let names = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
            expand(&paths).map(|paths| paths.into_iter().filter_map(names).collect::<Vec<_>>())
        };
        assert_eq!(expand(&["m-*.npy", "none.npy"])?, ["m-1.npy", "m-2.npy", "none.npy"]);
        assert_eq!(expand(&["*.npy"])?, ["m-1.npy", "m-2.npy", "x1.npy", "x[1].npy"]);
        // The file of this name is there.
        assert_eq!(expand(&["x[1].npy"])?, ["x[1].npy"]);
        assert_eq!(expand(&["m-[12].npy", "m-?.npy"])?, ["m-1.npy", "m-2.npy", "m-1.npy", "m-2.npy"]);
        assert_eq!(expand(&["y[.npy"])?, ["y[.npy"], "no pattern");
        let error = expand(&["y*.npy"]).expect_err("no file matches").to_string();
        assert!(error.contains("y*.npy: no file has a name that matches"), "{error}");
        Ok(())
    }

    #[test]
    fn standard_input_is_alone() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert!(expand(&paths(&["-"])).is_ok());
        assert!(expand(&paths(&["a.npy", "-"])).is_err_and(|error| error.is_usage()));
    }
}
