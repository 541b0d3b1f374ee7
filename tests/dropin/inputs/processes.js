// Workers that come and go, child processes and a server; prints what is fixed.
const { fork, spawnSync } = require('child_process');
const http = require('http');
const { Worker } = require('worker_threads');
const zlib = require('zlib');

function once(emitter, event) {
  return new Promise((resolve) => emitter.once(event, resolve));
}

async function runWorkers() {
  const body = `const { parentPort, workerData } = require('worker_threads');
    let text = ''; for (let i = 0; i < 20000; i++) text += String.fromCharCode(97 + i * workerData % 26);
    const buffers = []; for (let i = 0; i < 200; i++) buffers.push(Buffer.alloc(i * 100, i));
    parentPort.postMessage(text.length + Buffer.concat(buffers).length + workerData);`;
  const sums = [];
  for (let round = 0; round < 3; round++) {
    const workers = [];
    for (let i = 0; i < 4; i++) workers.push(new Worker(body, { eval: true, workerData: round * 4 + i }));
    sums.push(...await Promise.all(workers.map((worker) => once(worker, 'message'))));
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  console.log(sums.join(' '));
}

async function runServer() {
  const server = http.createServer((request, response) => {
    zlib.gzip(request.url.repeat(2000), (error, data) => response.end(data));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const fetchOne = (i) => new Promise((resolve, reject) => {
    http.get({ port: server.address().port, host: '127.0.0.1', path: `/${i}` }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve(zlib.gunzipSync(Buffer.concat(parts)).length));
    }).on('error', reject);
  });
  const lengths = await Promise.all(Array.from({ length: 100 }, (_, i) => fetchOne(i)));
  console.log(lengths.reduce((a, b) => a + b));
  server.closeAllConnections ? server.closeAllConnections() : 0;
  server.close();
}

async function main() {
  if (process.argv[2] === 'child') {
    process.on('message', (m) => { process.send('x'.repeat(m).length, () => process.disconnect()); });
    return;
  }
  await runWorkers();
  await runServer();
  const children = [100, 2000, 30000].map((n) => {
    const child = fork(__filename, ['child']);
    child.send(n);
    return once(child, 'message');
  });
  console.log((await Promise.all(children)).join(' '));
  for (let i = 0; i < 5; i++) console.log(spawnSync('seq', [`${i * 1000}`]).stdout.length);
}

main();
