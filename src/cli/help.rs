//! What the command line says of itself: examples with each verb, a way on from a wrong one, completions and man pages. All of it is made
//! from the program's own definition.

mod examples;
mod wrong;

use super::at::{At, FLAGS};
use clap::{ArgMatches, Args as _, Command, FromArgMatches as _, Subcommand as _};
use std::{io, path::Path};

/// The program's definition, with examples, and with the flags of [`At`] at each verb that talks to a server.
pub fn dressed(program: Command) -> Command {
    let mut program = program;
    // Before the verb they are taken too, and are the program's own: another verb's `--data` is not that.
    for flag in FLAGS {
        program = program.mut_arg(flag, |flag| flag.global(false));
    }
    for verb in that_ask_a_server() {
        program = program.mut_subcommand(verb, At::augment_args);
    }
    examples::added(program, &[])
}

/// All but those of the store, which open it themselves.
fn that_ask_a_server() -> Vec<String> {
    let client = super::Verb::augment_subcommands(Command::new("client"));
    let names = client.get_subcommands().map(|verb| verb.get_name().to_string());
    names.filter(|name| name != "store").collect()
}

/// Reads the command line, or ends with what is wrong with it (exit code 2), or with the help that was asked for (0).
pub fn read(program: Command) -> ArgMatches {
    let program = dressed(program);
    let words: Vec<_> = std::env::args_os().collect();
    program.clone().try_get_matches_from(&words).unwrap_or_else(|error| {
        if !error.use_stderr() {
            asked_for(&error);
        }
        let words: Vec<String> = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        wrong::with_a_way_on(error, &program, &words).exit()
    })
}

/// Prints help, or the version, and ends. What could not be printed is no success: clap would say nothing of it.
fn asked_for(text: &clap::Error) -> ! {
    match super::print_text(&text.render().to_string()) {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            super::print::say(error.to_string());
            std::process::exit(1)
        }
    }
}

/// Which server the verb was told of, before it or after it. Refused where the verb asks none: its own `--data`, say, stands after it.
pub fn server(matches: &ArgMatches) -> Result<At, clap::Error> {
    let before = At::from_arg_matches(matches)?;
    match matches.subcommand() {
        Some((name, verb)) if that_ask_a_server().iter().any(|one| one == name) => {
            Ok(At::from_arg_matches(verb)?.or(before))
        }
        Some((name, _)) if before.is_said() => {
            let text = format!("`{name}` asks no server: what belongs to it stands after it\n");
            Err(clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, text))
        }
        _ => Ok(before),
    }
}

/// Prints what a shell completes verbs and flags by.
pub fn completions(program: Command, shell: clap_complete::Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut dressed(program), "lanyard", &mut script);
    super::print_text(&String::from_utf8_lossy(&script))
}

/// Writes a man page for each verb into this folder, which is made where absent.
pub fn man(program: Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(dressed(program), folder)
}

/// The words of a line as a shell would take them apart, quotes heeded.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => words.push(String::new()),
            (_, c) => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Every verb with an example that is none, or of another verb, and every one without; for the tests of the program, which has its
/// definition.
pub fn faults(program: Command) -> Vec<String> {
    let mut program = dressed(program);
    let mut faults = examples::faults(&program);
    faults.extend(wrong::faults(&program));
    program.build();
    program.debug_assert();
    faults
}
