//! The fenced blocks of a Markdown text, and the commands in them.

/// A fenced block.
pub(crate) struct Block<'a> {
    pub(crate) language: &'a str,
    pub(crate) text: &'a str,
}

impl<'a> Block<'a> {
    pub(crate) fn all(markdown: &'a str) -> Vec<Self> {
        // Every other part between fences is a block.
        let parts = markdown.split("\n```").skip(1).step_by(2);
        parts.filter_map(|part| part.split_once('\n')).map(|(language, text)| Self { language, text }).collect()
    }
}

/// A command, and its output according to the text.
pub(crate) struct Shell {
    pub(crate) command: String,
    pub(crate) output: String,
}

impl Shell {
    /// The commands of all `console` blocks. A command begins with `$ ` and goes on to the next line while a quote is
    /// open.
    pub(crate) fn all(blocks: &[Block<'_>]) -> Vec<Self> {
        let mut shells: Vec<Self> = Vec::new();
        for block in blocks.iter().filter(|block| block.language == "console") {
            for line in block.text.lines() {
                match (line.strip_prefix("$ "), shells.last_mut()) {
                    (Some(command), _) => shells.push(Self { command: command.to_owned(), output: String::new() }),
                    (None, Some(shell)) if shell.command.matches('\'').count() % 2 == 1 => {
                        shell.command.push('\n');
                        shell.command.push_str(line);
                    }
                    (None, Some(shell)) => {
                        shell.output.push_str(line);
                        shell.output.push('\n');
                    }
                    (None, None) => panic!("a console block begins with a command: {line}"),
                }
            }
        }
        shells
    }
}
