//! A sweep as a picture: offload and rebuffering over what was varied.

use std::path::Path;

use plotters::prelude::*;

/// One run of a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The value of what was varied.
    pub at: f64,
    /// Its offload, from 0 to 1.
    pub offload: f64,
    /// Its rebuffering ratio, from 0 to 1.
    pub rebuffering: f64,
}

/// Values that span more than this factor get a logarithmic axis.
const LOGARITHMIC_FROM: f64 = 50.0;
const SIZE: (u32, u32) = (900, 640);

/// Draws the points to an SVG file.
///
/// # Errors
/// When the file cannot be written.
pub fn draw(path: &Path, varied: &str, points: &[Point]) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(|error| text(&error))?;
    let (upper, lower) = area.split_vertically(SIZE.1 / 2);
    let offload: Vec<_> = points.iter().map(|point| (point.at, point.offload)).collect();
    let rebuffering: Vec<_> = points.iter().map(|point| (point.at, point.rebuffering * 100.0)).collect();
    panel(&upper, "offload", varied, &offload, 1.0, &BLUE).map_err(|error| text(&error))?;
    let most = rebuffering.iter().map(|(_, value)| *value).fold(0.1, f64::max);
    panel(&lower, "rebuffering, %", varied, &rebuffering, most * 1.1, &RED).map_err(|error| text(&error))?;
    area.present().map_err(|error| text(&error))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type DrawingResult<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn panel<'a>(area: &Area<'a>, title: &str, varied: &str, points: &[(f64, f64)], most: f64, color: &RGBColor) -> DrawingResult<'a> {
    let least_x = points.iter().map(|(at, _)| *at).fold(f64::INFINITY, f64::min).max(1e-6);
    let most_x = points.iter().map(|(at, _)| *at).fold(least_x * 1.001, f64::max);
    let mut builder = ChartBuilder::on(area);
    builder.caption(title, ("sans-serif", 18)).margin(12).x_label_area_size(36).y_label_area_size(56);
    // The two kinds of axis are different types.
    macro_rules! draw_on {
        ($x:expr) => {{
            let mut chart = builder.build_cartesian_2d($x, 0.0..most)?;
            chart.configure_mesh().x_desc(varied).draw()?;
            chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?;
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, color.filled())))?;
        }};
    }
    if most_x / least_x > LOGARITHMIC_FROM {
        draw_on!((least_x..most_x).log_scale());
    } else {
        draw_on!(least_x..most_x);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_becomes_a_picture() {
        let path = std::env::temp_dir().join(format!("p2p-media-sim-chart-{}.svg", std::process::id()));
        let point = |at, offload| Point { at, offload, rebuffering: 0.001 };
        for most in [20.0, 10_000.0] {
            draw(&path, "viewers", &[point(10.0, 0.7), point(most, 0.95)]).unwrap();
            let picture = std::fs::read_to_string(&path).unwrap();
            assert!(picture.starts_with("<svg") && picture.contains("viewers") && picture.matches("<circle").count() == 4);
        }
        std::fs::remove_file(&path).unwrap();
    }
}
