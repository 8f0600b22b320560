//! A progress bar for long work, where somebody watches.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Less than this is done before an eye has found the bar.
const LONG_BYTES: u64 = 16 << 20;

/// A bar over so many bytes of tensors, on standard error; nothing at all if that is no terminal or the work is short.
pub(super) fn bar(bytes: u64) -> ProgressBar {
    if bytes < LONG_BYTES {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {elapsed} {msg}");
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    bar.with_style(style.expect("the template is well-formed"))
}
