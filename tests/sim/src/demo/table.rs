//! The closing table.

use super::crew::Crew;
use super::script::{Acts, Wipe, words};
use serde_json::{Value, json};

const HEAD: [&str; 5] = ["DEVICE", "CHANNEL", "SCOPE", "END", "EVIDENCE"];

/// All of it, with a line's end.
pub(super) fn print(acts: &Acts, crew: &Crew) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(acts.wipes.iter().map(row));
    let mut out = grid(&rows);
    let (batch, all) = (&acts.batch, crew.members.len());
    out +=
        &format!("\npolicy    {} of {all} devices: {}\n", acts.coverage.values().sum::<usize>(), words(&acts.coverage));
    out += &format!(
        "breaker   {} more full wipes asked for by alice: {} in their undo window, {} held for a second person; {} cancelled in one act\n",
        batch.asked, batch.waiting, batch.held, batch.cancelled
    );
    out += &format!(
        "devices   {} erased, {} retired, {} not named: untouched (counted on the devices' side)\n",
        acts.erased, acts.retired, acts.untouched
    );
    for sentence in &acts.short {
        out += &format!("SHORT     {sentence}\n");
    }
    out
}

/// The same for programs.
pub(super) fn document(acts: &Acts, crew: &Crew) -> Value {
    let wipes = acts.wipes.iter().map(|wipe| {
        let (command, evidence) = (&wipe.command, wipe.command.evidence.last());
        json!({
            "device": wipe.device, "channel": command.channel, "scope": wipe.scope, "state": command.state,
            "evidence": evidence.map(|e| json!({"kind": e.kind, "detail": e.detail})), "remark": wipe.remark,
        })
    });
    let batch = &acts.batch;
    json!({
        "wipes": wipes.collect::<Vec<_>>(),
        "policy": acts.coverage,
        "breaker": {"asked": batch.asked, "waiting": batch.waiting, "held": batch.held, "cancelled": batch.cancelled},
        "devices": {"all": crew.members.len(), "erased": acts.erased, "retired": acts.retired, "untouched": acts.untouched},
        "short": acts.short,
    })
}

fn row(wipe: &Wipe) -> [String; 5] {
    let command = &wipe.command;
    let ground = command.evidence.last().map(|e| match e.detail.is_empty() {
        true => e.kind.clone(),
        false => format!("{}: {}", e.kind, e.detail),
    });
    let mut evidence = ground.unwrap_or_else(|| "none".into());
    if !wipe.remark.is_empty() {
        evidence += &format!(" ({})", wipe.remark);
    }
    [wipe.device.clone(), command.channel.clone(), wipe.scope.into(), command.state.clone(), evidence]
}

/// Columns as wide as they need to be, two spaces apart.
fn grid(rows: &[[String; 5]]) -> String {
    let mut widths = [0; 5];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let cells = |words: [&str; 5]| words.map(str::to_owned);
        let rows = [cells(["A", "B", "C", "D", "E"]), cells(["long", "", "c", "d", "e"])];
        assert_eq!(grid(&rows), "A     B  C  D  E\nlong     c  d  e\n");
    }
}
