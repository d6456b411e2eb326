//! Charts as SVG, out of nothing but the recorded series.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

use super::results::{Axis, Chart, Series};

const SIZE: (u32, u32) = (860, 480);

/// Told apart by those who do not see all colours as well.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 86, 86),
];

/// The chart as text of an SVG file.
pub(crate) fn svg(chart: &Chart) -> Result<String> {
    let mut text = String::new();
    // plotters' errors borrow from what is drawn on.
    let drawn = {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        draw(&area, chart).map_err(|error| anyhow!("drawing {}: {error}", chart.name))
    };
    drawn?;
    text.push('\n');
    Ok(text)
}

type Failure = Box<dyn std::error::Error>;

fn draw(area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>, chart: &Chart) -> Result<(), Failure> {
    area.fill(&WHITE)?;
    let x = range(&chart.x, chart.series.iter().flat_map(|series| series.points.iter().map(|point| point.0)));
    let y = range(&chart.y, chart.series.iter().flat_map(|series| series.points.iter().map(|point| point.1)));
    let mut builder = ChartBuilder::on(area);
    builder.caption(&chart.title, ("sans-serif", 18)).margin(12).x_label_area_size(42).y_label_area_size(66);
    // Each combination is a type of its own.
    match (chart.x.log, chart.y.log) {
        (true, true) => plot(&mut builder.build_cartesian_2d(x.log_scale(), y.log_scale())?, chart),
        (true, false) => plot(&mut builder.build_cartesian_2d(x.log_scale(), y)?, chart),
        (false, true) => plot(&mut builder.build_cartesian_2d(x, y.log_scale())?, chart),
        (false, false) => plot(&mut builder.build_cartesian_2d(x, y)?, chart),
    }?;
    area.present()?;
    Ok(())
}

fn plot<'a, 'b: 'a, X, Y>(
    context: &mut ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>,
    chart: &Chart,
) -> Result<(), Failure>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    context
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(&chart.x.label)
        .y_desc(&chart.y.label)
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| number(*value))
        .label_style(("sans-serif", 13))
        .draw()?;
    for (Series { name, points }, colour) in chart.series.iter().zip(COLOURS.into_iter().cycle()) {
        context
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
        context.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    // Where the lines are not.
    let ends = |series: &Series| Some(series.points.last()?.1 > series.points.first()?.1);
    let rises = chart.series.iter().any(|series| ends(series).unwrap_or(false));
    context
        .configure_series_labels()
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.mix(0.85))
        .label_font(("sans-serif", 13))
        .position(if rises { SeriesLabelPosition::UpperLeft } else { SeriesLabelPosition::UpperRight })
        .draw()?;
    Ok(())
}

/// From a little below the least to a little above the most; from 0, where the axis is not logarithmic.
fn range(axis: &Axis, values: impl Iterator<Item = f64>) -> Range<f64> {
    let (least, most) =
        values.fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
    let most = if most > 0.0 { most } else { 1.0 };
    if axis.log { (least.min(most) / 1.3).max(1e-9)..most * 1.6 } else { 0.0..most * 1.05 }
}

/// `0.01`, `25`, `10k`, `1M`.
fn number(value: f64) -> String {
    let rounded = |value: f64| {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value.abs() {
        size if size >= 1e6 => format!("{}M", rounded(value / 1e6)),
        size if size >= 1e4 => format!("{}k", rounded(value / 1e3)),
        size if size > 0.0 && size < 0.01 => format!("{value:.0e}"),
        _ => rounded(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Stamp;

    #[test]
    fn a_chart_is_drawn_from_its_series_alone_and_always_the_same() {
        let axis = |log| Axis { label: "files".into(), log };
        for (x, y) in [(true, true), (true, false), (false, true), (false, false)] {
            let series = [("ours", 10.0), ("theirs <&>", 3.0)].map(|(name, speed)| Series {
                name: name.into(),
                points: vec![(1.0, speed), (10.0, speed * 2.0), (100.0, speed * 3.0)],
            });
            let chart = Chart {
                name: "x".into(),
                title: "Files".into(),
                x: axis(x),
                y: axis(y),
                series: series.into(),
                measured: Stamp::default(),
            };
            let text = svg(&chart).unwrap();
            assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"), "{text}");
            assert!(text.contains("ours") && text.contains("theirs &lt;&amp;&gt;"), "{text}");
            assert_eq!(text, svg(&chart).unwrap());
        }
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.001, 0.05, 1.0, 2.5, 1000.0, 25_000.0, 1_500_000.0].map(number);
        assert_eq!(shown, ["0", "1e-3", "0.05", "1", "2.5", "1000", "25k", "1.5M"]);
    }
}
