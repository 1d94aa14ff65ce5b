//! Measures a metrics API server, ours or another, beside a simulated fleet: `make bench`, or with `--help`.

use anyhow::Result;
use harness::bench::{self, Options};

#[tokio::main]
async fn main() -> Result<()> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        println!("{}", bench::HELP);
        return Ok(());
    };
    let report = bench::run(&options).await?;
    println!("{}", report.table());
    if let Some(file) = &options.json {
        std::fs::write(file, report.json())?;
    }
    Ok(())
}
