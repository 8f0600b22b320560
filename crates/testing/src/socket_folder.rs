//! Folders for Unix domain sockets.

use tempfile::TempDir;

/// A folder whose sockets have short enough paths: the kernel accepts no more than 107 bytes, and the path of the usual folder for
/// temporary files may be longer.
pub fn socket_folder() -> TempDir {
    const LONGEST: usize = 80;
    let folder = tempfile::tempdir().expect("a folder can be made");
    if folder.path().as_os_str().len() <= LONGEST {
        return folder;
    }
    tempfile::tempdir_in("/tmp").expect("a folder can be made")
}
