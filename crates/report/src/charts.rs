//! Charts as SVG inside the page, in colours that can be read on a light and on a dark ground.

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;

/// Width and height, pixels.
const SIZE: (u32, u32) = (560, 300);
/// Of the series, in order: blue, orange, green.
const COLORS: [RGBColor; 3] = [RGBColor(59, 130, 246), RGBColor(217, 119, 6), RGBColor(16, 150, 110)];
/// Side of a dot in a matrix of few and of many rows, pixels.
const DOT: [u32; 2] = [4, 2];

/// A line in a chart.
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart of lines.
pub(crate) fn lines(title: &str, (x, y): (&str, &str), all: &[Series<'_>]) -> Markup {
    let points = || all.iter().flat_map(|series| &series.points);
    let (xs, ys) = (range(points().map(|point| point.0)), range(points().map(|point| point.1)));
    figure(title, |svg| {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(xs, ys)?;
        chart
            .configure_mesh()
            .x_desc(x)
            .y_desc(y)
            .bold_line_style(BLACK.mix(0.15))
            .light_line_style(TRANSPARENT)
            .label_style(("sans-serif", 13))
            .draw()?;
        for (Series { name, points }, color) in all.iter().zip(COLORS.iter().cycle()) {
            let key = move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color.stroke_width(2));
            chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?.label(*name).legend(key);
            chart.draw_series(
                points.iter().filter(|_| points.len() < 40).map(|point| Circle::new(*point, 3, color.filled())),
            )?;
        }
        if all.len() > 1 {
            chart.configure_series_labels().label_font(("sans-serif", 13)).border_style(BLACK.mix(0.3)).draw()?;
        }
        root.present()
    })
}

/// A square of dots: which of `side` things stands in which relation to which.
pub(crate) fn matrix(title: &str, (x, y): (&str, &str), side: usize, dots: &[(usize, usize)]) -> Markup {
    let end = side.max(1) as f64 - 0.5;
    figure(title, |svg| {
        let root = SVGBackend::with_string(svg, (SIZE.0, SIZE.0)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(-0.5..end, -0.5..end)?;
        let is_whole = |number: f64| (number - number.round()).abs() < 1e-6;
        let whole = |number: &f64| if is_whole(*number) { format!("{:.0}", number.abs()) } else { String::new() };
        chart
            .configure_mesh()
            .x_desc(x)
            .y_desc(y)
            .x_label_formatter(&whole)
            .y_label_formatter(&whole)
            .bold_line_style(BLACK.mix(0.15))
            .light_line_style(TRANSPARENT)
            .label_style(("sans-serif", 13))
            .draw()?;
        let dot = DOT[usize::from(side > 100)];
        let place = |(x, y): &(usize, usize)| Circle::new((*x as f64, *y as f64), dot, COLORS[0].filled());
        chart.draw_series(dots.iter().map(place))?;
        root.present()
    })
}

type Drawn = Result<(), DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>>;

/// What `draw` draws, under a title. What it draws black takes the page's own colour.
fn figure(title: &str, draw: impl FnOnce(&mut String) -> Drawn) -> Markup {
    let mut svg = String::new();
    draw(&mut svg).expect("a chart is written to memory, and its ranges are not empty");
    let svg = svg.replace("#000000", "currentColor").replace("#FFFFFF", "none");
    html! { figure { figcaption { (title) } (PreEscaped(svg)) } }
}

/// From the least to the greatest finite value, with some room; never empty.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (least, most) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
    if least > most {
        return 0.0..1.0;
    }
    let room = ((most - least) * 0.05).max(least.abs().max(1.0) * 1e-3);
    least - room..most + room
}
