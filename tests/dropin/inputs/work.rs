// Collections, strings, threads, channels and child processes; prints results that do not change.
use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use std::sync::{mpsc, Arc, Mutex};
use std::thread;

fn churn(seed: u64) -> usize {
    let mut value = seed;
    let mut kept: HashMap<u64, String> = HashMap::new();
    for _ in 0..50_000 {
        value = value.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
        kept.insert(value % 997, "x".repeat((value % 700) as usize));
    }
    kept.values().map(String::len).sum()
}

fn main() {
    let sums: Vec<usize> =
        (0..8).map(|i| thread::spawn(move || churn(i))).map(|t| t.join().unwrap()).collect();
    println!("{:?}", sums);

    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    for i in 0..4u8 {
        let sender = sender.clone();
        thread::spawn(move || (0..2000).for_each(|n| sender.send(vec![i; n % 3000]).unwrap()));
    }
    drop(sender);
    println!("{}", receiver.iter().map(|v| v.iter().map(|b| *b as usize + 1).sum::<usize>()).sum::<usize>());

    let tree = Arc::new(Mutex::new(BTreeMap::new()));
    let threads: Vec<_> = (0..4)
        .map(|t| {
            let tree = Arc::clone(&tree);
            thread::spawn(move || {
                for i in 0..5000 {
                    tree.lock().unwrap().insert((i * 7919 + t) % 10_007, format!("value {}", i));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    println!("{}", tree.lock().unwrap().len());
    for i in 0..20 {
        let output = Command::new("/bin/echo").arg(format!("child {}", i)).output().unwrap();
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
    let result = thread::spawn(|| Vec::<u8>::with_capacity(10)[3]).join();
    println!("{}", result.is_err());
    let huge: Result<(), _> = Vec::<u8>::new().try_reserve(1 << 60);
    println!("{}", huge.is_err());
}
