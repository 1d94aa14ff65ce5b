//! A scenario and what was served of it, as a picture: CPU above, memory below, time to the right.
//!
//! In: a [`Scenario`] and one [`Curve`] per policy. Out: the text of an SVG, the same bytes for the same input on every
//! machine; fonts are the reader's.
//!
//! What is served stays until the next reading, so curves are steps. Where readings fail to come, the last usage is held
//! as long as the gateway does by default.

use super::svg::{Anchor, Path, Svg};
use crate::authoring::question::EPOCH;
use crate::authoring::scenario::{LENGTH, READ_EVERY, Scenario, Truth};
use crate::model::Usage;
use crate::model::units::UnixNanos;

/// What one policy made of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curve {
    /// What the legend calls it.
    pub name: String,
    /// After each reading of the scenario; None: nothing was served.
    pub served: Vec<Option<Usage>>,
}

/// The most curves that can be told apart by their colours.
pub(super) const MOST_CURVES: usize = COLOURS.len();

/// Distinct for colour-blind readers, too (Okabe and Ito). The first is that of the rule which others are compared with.
const COLOURS: [&str; 7] = ["#6b7280", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 28.0;
/// Of the panel's lower edge, below the panel: the axis of time.
const AXIS: f64 = 44.0;
const CPU_HEIGHT: f64 = 250.0;
const MEMORY_HEIGHT: f64 = 150.0;
const LEGEND_LINE: f64 = 22.0;
/// Seconds that the gateway goes on serving the last usage: `history.hold`'s default.
const HOLD: u64 = 3 * READ_EVERY;

/// Draws it.
pub(super) fn draw(scenario: &Scenario, curves: &[Curve]) -> String {
    let names: Vec<&str> = ["true use"].into_iter().chain(curves.iter().map(|curve| curve.name.as_str())).collect();
    let legend = places_of_legend(&names);
    let lines = legend.last().map_or(0.0, |(_, line)| f64::from(*line) + 1.0);
    let top = 66.0 + lines * LEGEND_LINE + 30.0;
    let below = top + CPU_HEIGHT + 48.0;
    let title = format!("{}: {}", scenario.kind.name(), scenario.kind.title());
    let mut svg = Svg::new(WIDTH, below + MEMORY_HEIGHT + AXIS + 8.0, &title, &style());
    svg.text("title", (LEFT, 34.0), Anchor::Start, &title);
    svg.text(
        "note",
        (LEFT, 54.0),
        Anchor::Start,
        &format!(
            "one container, read every {READ_EVERY} s; what is served stays until the next reading, {HOLD} s at most"
        ),
    );
    draw_legend(&mut svg, &names, &legend);

    let cpu = Panel::new(
        "CPU, cores",
        top,
        CPU_HEIGHT,
        most(scenario, curves, |truth| truth.cpu.0, |usage| usage.cpu.0),
        &DECIMAL,
    );
    let memory = Panel::new(
        "memory, MiB",
        below,
        MEMORY_HEIGHT,
        most(scenario, curves, |truth| truth.memory.0, |usage| usage.memory.0),
        &BINARY,
    );
    cpu.draw(&mut svg, scenario, curves, |truth| truth.cpu.0, |usage| usage.cpu.0);
    memory.draw(&mut svg, scenario, curves, |truth| truth.memory.0, |usage| usage.memory.0);
    draw_readings(&mut svg, scenario, top + CPU_HEIGHT);
    draw_minutes(&mut svg, below + MEMORY_HEIGHT);
    svg.finish()
}

fn style() -> String {
    let mut style = "text{font-family:system-ui,-apple-system,'Segoe UI','Helvetica Neue',Arial,'DejaVu Sans',sans-serif;\
         font-size:13px;fill:#374151}.title{font-size:19px;font-weight:600;fill:#111827}.note{fill:#6b7280}\
         .panel{font-weight:600;fill:#111827}.tick{font-size:12px;fill:#6b7280}.paper{fill:#ffffff}\
         .grid{stroke:#e5e7eb;stroke-width:1}.axis{stroke:#9ca3af;stroke-width:1}\
         .gap{fill:#f3f4f6}.restart{stroke:#9ca3af;stroke-width:1;stroke-dasharray:3 3}\
         .truth{fill:#fde68a;stroke:#f0b429;stroke-width:1;stroke-linejoin:round}.reading{stroke:#6b7280;stroke-width:1}\
         .curve{fill:none;stroke-width:2;stroke-linejoin:round}.c0{stroke-width:4.5;stroke-opacity:.55}.c2{stroke-dasharray:9 4}.c3{stroke-dasharray:4 3}.c4{stroke-dasharray:12 3 3 3}.c5{stroke-dasharray:2 2}.c6{stroke-dasharray:16 6}"
        .to_owned();
    for (number, colour) in COLOURS.iter().enumerate() {
        style.push_str(&format!(".c{number}{{stroke:{colour}}}"));
    }
    style
}

/// Of each name: where it begins, and on which line.
fn places_of_legend(names: &[&str]) -> Vec<(f64, u32)> {
    let (mut x, mut line) = (LEFT, 0);
    let place = |name: &&str| {
        let width = 34.0 + 7.4 * name.chars().count() as f64 + 22.0;
        if x > LEFT && x + width > RIGHT {
            (x, line) = (LEFT, line + 1);
        }
        let place = (x, line);
        x += width;
        place
    };
    names.iter().map(place).collect()
}

fn draw_legend(svg: &mut Svg, names: &[&str], places: &[(f64, u32)]) {
    for (number, (name, (x, line))) in names.iter().zip(places).enumerate() {
        let y = 82.0 + f64::from(*line) * LEGEND_LINE;
        match number.checked_sub(1) {
            None => svg.area("truth", (*x, y - 10.0), (24.0, 11.0)),
            Some(curve) => svg.stroke(&format!("curve c{}", curve % COLOURS.len()), (*x, y - 4.5), (x + 24.0, y - 4.5)),
        }
        svg.text("name", (x + 32.0, y), Anchor::Start, name);
    }
}

/// How an axis is divided.
struct Division {
    /// What one unit of its labels is.
    unit: f64,
    /// Steps between labels, in units, smallest first, that are multiplied by `base` until they fit.
    steps: [f64; 3],
    base: f64,
}

/// Cores: 0.1, 0.2, 0.5, 1, …
const DECIMAL: Division = Division { unit: 1e9, steps: [0.001, 0.002, 0.005], base: 10.0 };
/// MiB: 1, 2, 4, 8, …
const BINARY: Division = Division { unit: 1_048_576.0, steps: [1.0, 2.0, 4.0], base: 8.0 };

impl Division {
    /// The step that leaves at most six labels up to `most`.
    fn step(&self, most: f64) -> f64 {
        let mut scale = 1.0;
        loop {
            if let Some(step) = self.steps.iter().map(|step| step * scale).find(|step| most <= step * 5.0) {
                return step;
            }
            scale *= self.base;
        }
    }
}

/// One quantity over time.
struct Panel {
    title: &'static str,
    top: f64,
    height: f64,
    /// Between two labels, in units.
    step: f64,
    /// How many steps there are.
    steps: u32,
    unit: f64,
}

impl Panel {
    fn new(title: &'static str, top: f64, height: f64, most: u64, division: &Division) -> Self {
        // A little air above the highest value.
        let most = (most as f64 * 1.04 / division.unit).max(division.steps[0]);
        let step = division.step(most);
        Self { title, top, height, step, steps: (most / step).ceil() as u32, unit: division.unit }
    }

    fn y(&self, value: u64) -> f64 {
        let most = self.step * f64::from(self.steps) * self.unit;
        self.top + self.height * (1.0 - value as f64 / most)
    }

    fn draw(
        &self,
        svg: &mut Svg,
        scenario: &Scenario,
        curves: &[Curve],
        used: impl Fn(&Truth) -> u64,
        served: impl Fn(&Usage) -> u64,
    ) {
        self.draw_grid(svg, scenario);
        svg.path("truth", &self.truth(scenario, used));
        for (number, curve) in curves.iter().enumerate() {
            svg.path(&format!("curve c{}", number % COLOURS.len()), &self.curve(scenario, curve, &served));
        }
        self.draw_events(svg, scenario);
    }

    fn draw_grid(&self, svg: &mut Svg, scenario: &Scenario) {
        let bottom = self.top + self.height;
        svg.text("panel", (LEFT, self.top - 10.0), Anchor::Start, self.title);
        if let Some(gap) = &scenario.gap {
            svg.area("gap", (x(gap.start), self.top), (x(gap.end) - x(gap.start), self.height));
        }
        for minute in 1..=LENGTH / 60 {
            svg.stroke("grid", (x(minute * 60), self.top), (x(minute * 60), bottom));
        }
        for number in 0..=self.steps {
            let value = self.step * f64::from(number);
            let y = bottom - self.height * f64::from(number) / f64::from(self.steps);
            svg.stroke(if number == 0 { "axis" } else { "grid" }, (LEFT, y), (RIGHT, y));
            svg.text("tick", (LEFT - 8.0, y + 4.0), Anchor::End, &label(value));
        }
    }

    fn truth(&self, scenario: &Scenario, used: impl Fn(&Truth) -> u64) -> Path {
        let mut path = Path::default();
        path.move_to(LEFT, self.y(0));
        let mut before = 0;
        for (second, truth) in (0..).zip(&scenario.truth) {
            let value = used(truth);
            if value != before {
                path.across_to(x(second));
                path.up_or_down_to(self.y(value));
                before = value;
            }
        }
        path.across_to(RIGHT);
        path.up_or_down_to(self.y(0));
        path.close();
        path
    }

    fn curve(&self, scenario: &Scenario, curve: &Curve, served: impl Fn(&Usage) -> u64) -> Path {
        let mut path = Path::default();
        let times: Vec<u64> = scenario.samples.iter().map(|sample| second_of(sample.taken_at)).collect();
        let ends = times.iter().skip(1).copied().chain([LENGTH]);
        let mut drawn_to = None;
        for ((from, next), usage) in times.iter().copied().zip(ends).zip(&curve.served) {
            let Some(usage) = usage else { continue };
            let y = self.y(served(usage));
            if drawn_to == Some(from) {
                path.up_or_down_to(y);
            } else {
                path.move_to(x(from), y);
            }
            let to = next.min(from + HOLD);
            path.across_to(x(to));
            drawn_to = Some(to);
        }
        path
    }

    /// On top of everything else.
    fn draw_events(&self, svg: &mut Svg, scenario: &Scenario) {
        let y = self.top + 16.0;
        if let Some(gap) = &scenario.gap {
            svg.text("note", (f64::midpoint(x(gap.start), x(gap.end)), y), Anchor::Middle, "no readings");
        }
        if let Some(restart) = scenario.restart {
            svg.stroke("restart", (x(restart), self.top), (x(restart), self.top + self.height));
            svg.text("note", (x(restart) + 6.0, y), Anchor::Start, "restart");
        }
    }
}

/// A small mark for every reading.
fn draw_readings(svg: &mut Svg, scenario: &Scenario, bottom: f64) {
    for sample in &scenario.samples {
        let x = x(second_of(sample.taken_at));
        svg.stroke("reading", (x, bottom), (x, bottom + 5.0));
    }
    svg.text("tick", (LEFT - 8.0, bottom + 17.0), Anchor::End, "readings");
}

fn draw_minutes(svg: &mut Svg, bottom: f64) {
    for minute in 0..=LENGTH / 60 {
        svg.text("tick", (x(minute * 60), bottom + 18.0), Anchor::Middle, &minute.to_string());
    }
    svg.text("tick", (f64::midpoint(LEFT, RIGHT), bottom + 37.0), Anchor::Middle, "minutes");
}

fn x(second: u64) -> f64 {
    LEFT + (RIGHT - LEFT) * second as f64 / LENGTH as f64
}

fn second_of(time: UnixNanos) -> u64 {
    time.since(EPOCH).as_secs().min(LENGTH)
}

/// Three decimals at most, and none that are zero.
fn label(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The highest value that is drawn.
fn most(scenario: &Scenario, curves: &[Curve], used: impl Fn(&Truth) -> u64, served: impl Fn(&Usage) -> u64) -> u64 {
    let usages = curves.iter().flat_map(|curve| curve.served.iter().flatten());
    scenario.truth.iter().map(used).chain(usages.map(served)).max().unwrap_or_default()
}
