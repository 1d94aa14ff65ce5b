//! The few elements of SVG that a figure is made of, written as text. Numbers have one decimal, so that the same figure
//! is the same bytes everywhere.

use std::fmt::Write as _;

/// A document being written.
pub(super) struct Svg(String);

/// Where a text stands relative to its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// With the styles of the classes that its elements bear.
    pub(super) fn new(width: f64, height: f64, title: &str, style: &str) -> Self {
        let mut svg = Self(String::new());
        svg.line(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title\">"
        ));
        svg.line(&format!("<title id=\"title\">{}</title>", escaped(title)));
        svg.line(&format!("<style>{style}</style>"));
        svg.line(&format!("<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>"));
        svg
    }

    pub(super) fn finish(mut self) -> String {
        self.line("</svg>");
        self.0
    }

    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.line(&format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\"{anchor}>{}</text>", escaped(text)));
    }

    pub(super) fn stroke(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.line(&format!(
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    pub(super) fn area(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.line(&format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    pub(super) fn path(&mut self, class: &str, path: &Path) {
        if !path.0.is_empty() {
            self.line(&format!("<path class=\"{class}\" d=\"{}\"/>", path.0));
        }
    }

    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }
}

/// A line of horizontal and vertical steps, possibly in several pieces.
#[derive(Default)]
pub(super) struct Path(String);

impl Path {
    pub(super) fn move_to(&mut self, x: f64, y: f64) {
        self.push(format_args!("M{x:.1} {y:.1}"));
    }

    pub(super) fn across_to(&mut self, x: f64) {
        self.push(format_args!("H{x:.1}"));
    }

    pub(super) fn up_or_down_to(&mut self, y: f64) {
        self.push(format_args!("V{y:.1}"));
    }

    pub(super) fn close(&mut self) {
        self.push(format_args!("Z"));
    }

    fn push(&mut self, command: std::fmt::Arguments<'_>) {
        self.0.write_fmt(command).expect("a string takes whatever is written");
    }
}

/// Names come from the command line, and may hold anything.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
