//! What this connector was told to do and did, on disk before it counts: an order that comes again is answered from here and never done twice,
//! and a result is kept until the server has taken it.
//!
//! A line is a checksum and a JSON object. A last line that was cut off is dropped: nobody was told of it.

use crate::platform;
use aws_lc_rs::digest::{SHA256, digest};
use lanyard_exchange::calls::Outcome;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// The file.
pub const JOURNAL: &str = "journal";
/// Written anew beyond so many lines that count no more.
const SPARE: usize = 2000;
/// Results that the server took are remembered, so many: an order may come once more.
const TAKEN: usize = 1000;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// This order writes to Exchange from now on.
    Writes(Uuid),
    /// What came of it.
    Ended(Box<Outcome>),
    /// The server has that.
    Taken(Uuid),
}

/// See the module.
pub struct Journal {
    path: PathBuf,
    /// None while it is written anew: what is open cannot be replaced on Windows.
    file: Option<fs::File>,
    lines: usize,
    ended: BTreeMap<Uuid, Outcome>,
    taken: Vec<(Uuid, Outcome)>,
    writing: Vec<Uuid>,
}

impl Journal {
    /// Opens the journal of a folder, or begins one.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(JOURNAL);
        let text = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let (lines, good) = read(&text)?;
        if good < text.len() {
            platform::cut(&path, good as u64)?;
        }
        let file = Some(platform::append_private(&path)?);
        let mut journal =
            Self { path, file, lines: lines.len(), ended: BTreeMap::new(), taken: Vec::new(), writing: Vec::new() };
        lines.into_iter().for_each(|line| journal.note(line));
        journal.shorten()?;
        Ok(journal)
    }

    /// What came of an order before.
    pub fn result(&self, id: Uuid) -> Option<&Outcome> {
        self.ended.get(&id).or_else(|| self.taken.iter().find(|(known, _)| *known == id).map(|(_, outcome)| outcome))
    }

    /// What the server has not taken yet, at most so many.
    pub fn waiting(&self, most: usize) -> Vec<Outcome> {
        self.ended.values().take(most).cloned().collect()
    }

    /// Whether this order may have written before this program started.
    pub fn was_writing(&self, id: Uuid) -> bool {
        self.writing.contains(&id)
    }

    /// On disk: this order writes from now on.
    pub fn writes(&mut self, id: Uuid) -> io::Result<()> {
        if self.writing.contains(&id) {
            return Ok(());
        }
        self.append(Line::Writes(id))
    }

    /// On disk: what came of an order.
    pub fn ended(&mut self, outcome: Outcome) -> io::Result<()> {
        self.append(Line::Ended(Box::new(outcome)))
    }

    /// The server has taken these.
    pub fn taken(&mut self, ids: impl IntoIterator<Item = Uuid>) -> io::Result<()> {
        for id in ids {
            self.append(Line::Taken(id))?;
        }
        self.shorten()
    }

    /// The server asks again for what it took before: it is told again.
    pub fn again(&mut self, id: Uuid) -> io::Result<()> {
        let Some(at) = self.taken.iter().position(|(known, _)| *known == id) else { return Ok(()) };
        let (_, outcome) = self.taken.remove(at);
        self.ended(outcome)
    }

    fn append(&mut self, line: Line) -> io::Result<()> {
        let written = written(&line)?;
        let file = self.file()?;
        file.write_all(&written)?;
        file.sync_data()?;
        self.lines += 1;
        self.note(line);
        Ok(())
    }

    fn file(&mut self) -> io::Result<&mut fs::File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => platform::append_private(&self.path)?,
        };
        Ok(self.file.insert(file))
    }

    fn note(&mut self, line: Line) {
        match line {
            Line::Writes(id) => self.writing.push(id),
            Line::Ended(outcome) => {
                self.writing.retain(|id| *id != outcome.id);
                self.ended.insert(outcome.id, *outcome);
            }
            Line::Taken(id) => {
                self.taken.extend(self.ended.remove(&id).map(|outcome| (id, outcome)));
                let spare = self.taken.len().saturating_sub(TAKEN);
                self.taken.drain(..spare);
            }
        }
    }

    /// Writes what counts anew, where much does no more.
    fn shorten(&mut self) -> io::Result<()> {
        let counts = self.ended.len() + self.writing.len() + self.taken.len() * 2;
        if self.lines <= counts + SPARE {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for id in &self.writing {
            bytes.extend(written(&Line::Writes(*id))?);
        }
        for (id, outcome) in &self.taken {
            bytes.extend(written(&Line::Ended(Box::new(outcome.clone())))?);
            bytes.extend(written(&Line::Taken(*id))?);
        }
        for outcome in self.ended.values() {
            bytes.extend(written(&Line::Ended(Box::new(outcome.clone())))?);
        }
        self.file = None;
        platform::write_private(&self.path, &bytes)?;
        self.lines = counts;
        Ok(())
    }
}

fn sum(text: &[u8]) -> String {
    digest(&SHA256, text).as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn written(line: &Line) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(line)?;
    Ok([sum(&text).as_bytes(), b" ", &text, b"\n"].concat())
}

/// The lines, and how many bytes of them are whole. What is wrong before the last line is no cut, and is refused.
fn read(text: &[u8]) -> io::Result<(Vec<Line>, usize)> {
    let (mut lines, mut good) = (Vec::new(), 0);
    for piece in text.split_inclusive(|byte| *byte == b'\n') {
        match piece.strip_suffix(b"\n").and_then(whole) {
            Some(line) => {
                lines.push(line);
                good += piece.len();
            }
            None if good + piece.len() == text.len() => break,
            None => return Err(io::Error::other(format!("the journal is damaged after byte {good}"))),
        }
    }
    Ok((lines, good))
}

fn whole(line: &[u8]) -> Option<Line> {
    let (said, text) = line.split_at_checked(16)?;
    let text = text.strip_prefix(b" ")?;
    (sum(text).as_bytes() == said).then(|| serde_json::from_slice(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanyard_exchange::calls::Ending;

    fn outcome(id: u128) -> Outcome {
        Outcome { id: Uuid::from_u128(id), outcome: Ending::Done, error: None, observed: None, organisation: None }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lanyard-journal-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        platform::private_folder(&folder).unwrap();
        folder
    }

    #[test]
    fn cut_off_anywhere_it_knows_all_lines_that_were_whole() {
        let folder = folder("cut");
        let mut journal = Journal::open(&folder).unwrap();
        let mut ends = Vec::new();
        for id in 1..=3 {
            journal.writes(Uuid::from_u128(id)).unwrap();
            journal.ended(outcome(id)).unwrap();
            ends.push(fs::metadata(&journal.path).unwrap().len());
        }
        journal.taken([Uuid::from_u128(1)]).unwrap();
        let whole = fs::read(&journal.path).unwrap();
        for cut in 0..=whole.len() {
            fs::write(folder.join(JOURNAL), &whole[..cut]).unwrap();
            let mut again = Journal::open(&folder).unwrap();
            for (id, end) in (1..=3).zip(&ends) {
                assert_eq!(again.result(Uuid::from_u128(id)).is_some(), cut as u64 >= *end, "cut at {cut}: {id}");
            }
            // What is written after goes on from there.
            again.ended(outcome(9)).unwrap();
            assert!(Journal::open(&folder).unwrap().result(Uuid::from_u128(9)).is_some(), "cut at {cut}");
        }
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn what_the_server_asks_for_again_is_told_again() {
        let folder = folder("again");
        let mut journal = Journal::open(&folder).unwrap();
        journal.ended(outcome(1)).unwrap();
        journal.taken([Uuid::from_u128(1)]).unwrap();
        assert_eq!(journal.waiting(10), []);
        journal.again(Uuid::from_u128(1)).unwrap();
        journal.again(Uuid::from_u128(2)).unwrap();
        assert_eq!(journal.waiting(10), [outcome(1)]);
        assert_eq!(Journal::open(&folder).unwrap().waiting(10), [outcome(1)]);
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn what_is_wrong_in_its_middle_is_refused() {
        let folder = folder("damaged");
        let mut journal = Journal::open(&folder).unwrap();
        journal.ended(outcome(1)).unwrap();
        journal.ended(outcome(2)).unwrap();
        let mut bytes = fs::read(&journal.path).unwrap();
        bytes[20] ^= 1;
        fs::write(&journal.path, bytes).unwrap();
        assert!(Journal::open(&folder).err().unwrap().to_string().contains("damaged"));
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn it_stays_short_and_forgets_nothing_that_waits() {
        let folder = folder("short");
        let mut journal = Journal::open(&folder).unwrap();
        journal.ended(outcome(1)).unwrap();
        for id in 2..4000 {
            let line = Line::Ended(Box::new(outcome(id)));
            journal.lines += 2;
            journal.note(line);
            journal.note(Line::Taken(Uuid::from_u128(id)));
        }
        journal.taken([]).unwrap();
        assert!(journal.lines < SPARE + 2 * TAKEN + 2, "{}", journal.lines);
        let again = Journal::open(&folder).unwrap();
        assert_eq!(again.waiting(10), [outcome(1)]);
        assert!(again.result(Uuid::from_u128(3999)).is_some() && again.result(Uuid::from_u128(2)).is_none());
        let _ = fs::remove_dir_all(folder);
    }
}
