// Objects, buffers, workers and child processes; prints results that do not change.
const crypto = require('crypto');
const { execFileSync } = require('child_process');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib');

function churn(seed) {
  let value = seed;
  const kept = new Map();
  for (let i = 0; i < 50000; i++) {
    value = (value * 48271) % 2147483647;
    kept.set(value % 997, 'x'.repeat(value % 700));
  }
  let total = 0;
  for (const text of kept.values()) total += text.length;
  return total;
}

if (isMainThread) {
  console.log(churn(1));
  const buffers = [];
  for (let i = 0; i < 200; i++) buffers.push(Buffer.alloc(100000, i));
  console.log(crypto.createHash('sha256').update(Buffer.concat(buffers)).digest('hex'));
  console.log(zlib.inflateSync(zlib.deflateSync(Buffer.concat(buffers))).length);
  console.log(execFileSync('/bin/echo', ['child']).toString().trim());
  const results = [];
  for (let i = 0; i < 4; i++) {
    new Worker(__filename, { workerData: i + 2 }).on('message', (total) => {
      results.push(total);
      if (results.length === 4) console.log(results.sort().join(' '));
    });
  }
} else {
  parentPort.postMessage(churn(workerData));
}
