//! A terminal's text as a picture, for the documents: SVG, as text, so that what is committed can be read in review.
//!
//! In: text with the colours that programs of ours use (SGR 0, 1, 2, 30 to 37 and 90 to 97). Out: an SVG. Other escape
//! sequences are left out. Pure.

use std::fmt::Write as _;

/// In pixels; of a cell of the font, at its size.
const CELL: (f64, f64) = (8.4, 18.0);
const MARGIN: f64 = 16.0;
const FOREGROUND: &str = "#d8dee9";
const BACKGROUND: &str = "#1b1f27";
/// Black, red, green, yellow, blue, magenta, cyan, white; dark enough apart to be told by whoever sees few colours.
const COLOURS: [&str; 8] = ["#4c566a", "#ff6b6b", "#7fd88f", "#f5c76b", "#74a8fc", "#c792ea", "#6fd3e0", "#eceff4"];

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Look {
    colour: Option<&'static str>,
    is_bold: bool,
    is_dim: bool,
}

impl Look {
    fn apply(&mut self, codes: &str) {
        for code in codes.split(';') {
            match code.parse::<usize>().unwrap_or(0) {
                0 => *self = Self::default(),
                1 => self.is_bold = true,
                2 => self.is_dim = true,
                22 => (self.is_bold, self.is_dim) = (false, false),
                39 => self.colour = None,
                colour @ 30..=37 => self.colour = Some(COLOURS[colour - 30]),
                90 => self.is_dim = true,
                colour @ 91..=97 => self.colour = Some(COLOURS[colour - 90]),
                _ => {}
            }
        }
    }

    fn attributes(self) -> String {
        let mut attributes = String::new();
        if let Some(colour) = self.colour {
            let _ = write!(attributes, " fill=\"{colour}\"");
        }
        if self.is_bold {
            attributes.push_str(" font-weight=\"bold\"");
        }
        if self.is_dim {
            attributes.push_str(" opacity=\"0.6\"");
        }
        attributes
    }
}

/// The picture of what a terminal shows.
pub(super) fn svg(title: &str, screen: &str) -> String {
    let lines: Vec<&str> = screen.trim_end().lines().collect();
    let columns = lines.iter().map(|line| width(line)).max().unwrap_or(0);
    let (wide, high) = (columns as f64 * CELL.0 + 2.0 * MARGIN, lines.len() as f64 * CELL.1 + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide:.0} {high:.0}\" role=\"img\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g fill=\"{FOREGROUND}\" xml:space=\"preserve\">\n",
        escaped(title)
    );
    let mut look = Look::default();
    for (row, line) in lines.iter().enumerate() {
        let y = MARGIN + (row as f64 + 0.75) * CELL.1;
        let mut column = 0;
        for (piece, new) in pieces(line, &mut look) {
            let (x, cells) = (MARGIN + column as f64 * CELL.0, piece.chars().count());
            column += cells;
            if piece.trim().is_empty() {
                continue;
            }
            // Whatever font there is, columns stay columns.
            let length = cells as f64 * CELL.0;
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\"{}>{}</text>",
                new.attributes(),
                escaped(&piece)
            );
        }
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn width(line: &str) -> usize {
    pieces(line, &mut Look::default()).iter().map(|(text, _)| text.chars().count()).sum()
}

/// A line cut where its look changes; `look` goes on from line to line.
fn pieces(line: &str, look: &mut Look) -> Vec<(String, Look)> {
    let mut pieces = vec![];
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        pieces.push((before.to_owned(), *look));
        let end = after.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(after.len());
        if after[end..].starts_with('m') {
            look.apply(&after[..end]);
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    pieces.push((rest.to_owned(), *look));
    pieces.retain(|(text, _)| !text.is_empty());
    pieces
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_fills_and_columns_stay_where_they_are() {
        let picture = svg("a & b", "ok \x1b[1;31mbad\x1b[0m <x>\n\x1b[2Jplain\n");
        assert!(picture.contains("<title>a &amp; b</title>"), "{picture}");
        assert!(
            picture.contains("x=\"41.2\" y=\"29.5\" textLength=\"25.2\" fill=\"#ff6b6b\" font-weight=\"bold\">bad<"),
            "{picture}"
        );
        assert!(picture.contains("&lt;x&gt;") && picture.contains(">plain<"), "{picture}");
        assert!(!picture.contains('\x1b'), "{picture}");
    }
}
