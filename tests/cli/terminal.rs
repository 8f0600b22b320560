//! Commands on a terminal: their progress is seen while they work.

use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    os::fd::OwnedFd,
    process::Stdio,
    thread,
};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::{TestResult, npy, program::Folder};

/// Both ends of a new terminal: what is written to the second is read from the first.
fn terminal() -> Result<(File, OwnedFd), rustix::io::Errno> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let here = openpt(flags)?;
    grantpt(&here)?;
    unlockpt(&here)?;
    let there = open(ptsname(&here, Vec::new())?, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
    tcsetwinsize(&there, Winsize { ws_row: 24, ws_col: 150, ws_xpixel: 0, ws_ypixel: 0 })?;
    Ok((here.into(), there))
}

/// Everything that is written to a terminal until its other end is closed.
fn read_all(mut terminal: File) -> Vec<u8> {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match terminal.read(&mut piece) {
            Ok(0) => return all,
            Ok(len) => all.extend_from_slice(&piece[..len]),
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            // Linux has no other end of file for a terminal.
            Err(_) => return all,
        }
    }
}

#[test]
fn the_bar_shows_what_was_read_and_computed() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(8192,1024)", (0..8192 * 1024).map(|i| i as f32)))?;
    for (arguments, phase) in [
        ("clip x.npy -o y.npy --mode value --threshold 1", "clipping"),
        ("normalize x.npy --kind layer -o y.npy", "normalizing"),
        ("dropout x.npy --p 0.5 --seed 1 -o y.npy", "dropping"),
    ] {
        let (here, there) = terminal()?;
        let mut command = folder.command();
        command.args(arguments.split_whitespace()).env("TERM", "xterm").stdout(Stdio::null()).stderr(there);
        let mut child = command.spawn()?;
        // The command has the only other end now.
        drop(command);
        let reader = thread::spawn(move || read_all(here));
        assert!(child.wait()?.success(), "{arguments}");
        let shown = String::from_utf8(reader.join().expect("it does not panic"))?;
        let has = |number: char| shown.contains(&format!("{phase} ")) && shown.contains(&format!("computed {number}"));
        assert!(('1'..='9').any(has) && shown.contains(" left read "), "{arguments}: {shown:?}");
    }
    Ok(())
}
