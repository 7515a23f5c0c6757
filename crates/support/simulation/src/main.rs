use ringback_simulation::{Plan, run};
#[expect(clippy::print_stdout, reason = "a command")]
fn main() {
    let a: Vec<u64> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap())
        .collect();
    let start = tokio::time::Instant::now();
    let (mut r, mut d) = (0, 0);
    let mut tally = std::collections::BTreeMap::new();
    let mut by = std::collections::BTreeMap::<String, (u64, u64)>::new();
    for seed in a[0]..a[1] {
        let o = run(&Plan::of_seed(seed), a.len() > 2);
        r += o.requests;
        d += o.duplicates;
        for (k, v) in o.tally() {
            *tally.entry(k).or_insert(0) += v;
        }
        if let Some(v) = &o.violation {
            println!("seed {seed}: {v}");
            let e = by.entry(v.invariant.to_string()).or_default();
            e.0 += 1;
            e.1 = seed;
        }
        if a.len() > 2 {
            println!("{}", o.trace.join("\n"));
        }
    }
    println!(
        "{r} requests {d} duplicates {tally:?} {by:?} in {:?}",
        start.elapsed()
    );
}
