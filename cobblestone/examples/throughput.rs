//! Speed of every way of encrypting against `ring`'s bare AES-256-GCM over 16 KiB chunks, in
//! interleaved rounds, medians shown. Says, never asserts: figures of a busy machine mean little.
//!
//! `cargo run --release -p cobblestone --example throughput [-- MIB ROUNDS DIR]`

#![expect(clippy::print_stdout, reason = "the figures are its purpose")]

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use cobblestone::{
    CHUNK_LEN, Key, OpenReader, Salt, SealWriter, open, open_parallel, seal, seal_into,
    seal_parallel,
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

type Failure = Box<dyn std::error::Error>;
type Run = fn(&Bench) -> Result<(), Failure>;

const CONTEXT: &[u8] = b"throughput";

struct Bench {
    mib: usize,
    cores: usize,
    key: Key,
    salt: Salt,
    raw: LessSafeKey,
    text: Vec<u8>,
    message: Vec<u8>,
    dir: PathBuf,
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let mib = args.next().map_or(Ok(256), |arg| arg.parse())?;
    let rounds = args.next().map_or(Ok(5), |arg| arg.parse())?;
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let bench = prepare(mib, &dir)?;
    println!("{mib} MiB, {rounds} rounds, {} cores\n", bench.cores);
    bulk(&bench, rounds)?;
    println!();
    small(&bench)?;
    for name in ["plain", "sealed", "out"] {
        std::fs::remove_file(bench.path(name))?;
    }
    Ok(())
}

fn prepare(mib: usize, dir: &Path) -> Result<Bench, Failure> {
    let (key, salt) = (Key::new(&[7; 32]), Salt::random()?);
    let raw = UnboundKey::new(&AES_256_GCM, &[9; 32]).map_err(|_| "ring refused a key")?;
    let text: Vec<u8> = (0..=250).cycle().take(mib << 20).collect();
    let message = seal(&key, CONTEXT, &salt, &text)?;
    let bench = Bench {
        mib,
        cores: thread::available_parallelism()?.get(),
        key,
        salt,
        raw: LessSafeKey::new(raw),
        text,
        message,
        dir: dir.to_owned(),
    };
    std::fs::write(bench.path("plain"), &bench.text)?;
    std::fs::write(bench.path("sealed"), &bench.message)?;
    std::fs::write(bench.path("out"), &bench.message)?;
    Ok(bench)
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("cobblestone-throughput-{name}"))
    }

    /// The output file keeps its pages: what is measured is not the allocation of a new one.
    fn files(&self, from: &str) -> io::Result<(File, File)> {
        let out = File::options().write(true).open(self.path("out"))?;
        Ok((File::open(self.path(from))?, out))
    }

    /// `ring` alone, in place in one hot buffer of a chunk: the most there is to be had.
    fn ring(&self, mib: usize) -> Result<(), Failure> {
        let mut chunk = vec![0; CHUNK_LEN];
        for index in 0..(mib << 20) / CHUNK_LEN {
            let mut nonce = [0; 12];
            nonce[..8].copy_from_slice(&index.to_le_bytes());
            let nonce = Nonce::assume_unique_for_key(nonce);
            let sealed =
                self.raw
                    .seal_in_place_separate_tag(nonce, Aad::empty(), black_box(&mut chunk));
            let _tag = sealed.map_err(|_| "ring refused a chunk")?;
        }
        Ok(())
    }

    fn ring_all(&self) -> Result<(), Failure> {
        let share = self.mib / self.cores;
        let run = || self.ring(share).map_err(|error| error.to_string());
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.cores).map(|_| scope.spawn(run)).collect();
            for worker in workers {
                worker.join().map_err(|_| "a thread died")??;
            }
            Ok(())
        })
    }
}

/// Name, work, and which reference it is measured against (an index into this list).
const BULK: &[(&str, Run, usize)] = &[
    ("ring, 1 core", |b| b.ring(b.mib), 0),
    ("ring, all cores", Bench::ring_all, 1),
    ("copy file, 1 core", |b| copy(b, "plain"), 0),
    ("seal, new memory", |b| seal_memory(b), 0),
    ("open, new memory", |b| open_memory(b), 0),
    ("seal_into, 1 MiB messages, reused", |b| seal_reused(b), 0),
    ("SealWriter, files", |b| write_stream(b), 0),
    ("OpenReader, files", |b| read_stream(b), 0),
    ("seal_parallel(1), files", |b| seal_files(b, 1), 0),
    ("open_parallel(1), files", |b| open_files(b, 1), 0),
    ("seal_parallel(all), files", |b| seal_files(b, 0), 1),
    ("open_parallel(all), files", |b| open_files(b, 0), 1),
    ("seal_parallel(all), memory to nowhere", |b| seal_sink(b), 1),
];

fn bulk(bench: &Bench, rounds: usize) -> Result<(), Failure> {
    let mut times = vec![Vec::new(); BULK.len()];
    for _ in 0..rounds {
        for (times, (_, run, _)) in times.iter_mut().zip(BULK) {
            let start = Instant::now();
            run(bench)?;
            times.push(start.elapsed().as_secs_f64());
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    for ((name, _, reference), time) in BULK.iter().zip(&medians) {
        let rate = bench.mib as f64 / 1024.0 / time;
        let ratio = medians.get(*reference).unwrap_or(time) / time;
        println!("{name:40} {rate:7.2} GiB/s  {ratio:5.2} of ring");
    }
    Ok(())
}

fn copy(bench: &Bench, from: &str) -> Result<(), Failure> {
    let (mut from, mut to) = bench.files(from)?;
    let mut buffer = vec![0; 1 << 20];
    while let len @ 1.. = from.read(&mut buffer)? {
        to.write_all(buffer.get(..len).unwrap_or_default())?;
    }
    Ok(())
}

fn seal_memory(b: &Bench) -> Result<(), Failure> {
    black_box(seal(&b.key, CONTEXT, &b.salt, &b.text)?);
    Ok(())
}

fn seal_reused(b: &Bench) -> Result<(), Failure> {
    let mut out = Vec::new();
    for text in b.text.chunks(1 << 20) {
        out.clear();
        seal_into(&b.key, CONTEXT, &b.salt, text, &mut out)?;
        black_box(&out);
    }
    Ok(())
}

fn open_memory(b: &Bench) -> Result<(), Failure> {
    black_box(open(&b.key, CONTEXT, &b.message)?);
    Ok(())
}

fn write_stream(b: &Bench) -> Result<(), Failure> {
    let (mut from, to) = b.files("plain")?;
    let mut writer = SealWriter::new(to, &b.key, CONTEXT, &b.salt);
    let mut buffer = vec![0; 256 << 10];
    while let len @ 1.. = from.read(&mut buffer)? {
        writer.write_all(buffer.get(..len).unwrap_or_default())?;
    }
    writer.finish()?;
    Ok(())
}

fn read_stream(b: &Bench) -> Result<(), Failure> {
    let (from, mut to) = b.files("sealed")?;
    let mut reader = OpenReader::new(from, &b.key, CONTEXT)?;
    let mut buffer = vec![0; 256 << 10];
    while let len @ 1.. = reader.read(&mut buffer)? {
        to.write_all(buffer.get(..len).unwrap_or_default())?;
    }
    Ok(())
}

fn seal_files(b: &Bench, threads: usize) -> Result<(), Failure> {
    let (from, to) = b.files("plain")?;
    seal_parallel(&b.key, CONTEXT, &b.salt, from, to, threads)?;
    Ok(())
}

fn open_files(b: &Bench, threads: usize) -> Result<(), Failure> {
    let (from, to) = b.files("sealed")?;
    open_parallel(&b.key, CONTEXT, from, to, threads)?;
    Ok(())
}

fn seal_sink(b: &Bench) -> Result<(), Failure> {
    seal_parallel(&b.key, CONTEXT, &b.salt, b.text.as_slice(), io::sink(), 0)?;
    Ok(())
}

/// Nanoseconds for one small message, in 21 rounds of 2000 each.
fn small(b: &Bench) -> Result<(), Failure> {
    const TIMES: u32 = 2000;
    println!("{:>9} {:>12} {:>12}", "bytes", "seal ns", "open ns");
    for len in [0, 32, 256, 1024, 4096] {
        let text = b.text.get(..len).unwrap_or_default();
        let message = seal(&b.key, CONTEXT, &b.salt, text)?;
        let (mut seals, mut opens) = (Vec::new(), Vec::new());
        for _ in 0..21 {
            let start = Instant::now();
            for _ in 0..TIMES {
                black_box(seal(&b.key, CONTEXT, &b.salt, black_box(text))?);
            }
            seals.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES));
            let start = Instant::now();
            for _ in 0..TIMES {
                black_box(open(&b.key, CONTEXT, black_box(&message))?);
            }
            opens.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES));
        }
        println!(
            "{len:9} {:12.0} {:12.0}",
            median(&mut seals),
            median(&mut opens)
        );
    }
    Ok(())
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
