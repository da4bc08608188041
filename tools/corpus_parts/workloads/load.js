// SPDX-License-Identifier: GPL-2.0-or-later
// A JavaScript server's heap: load.js SEED MIB. Grows to MIB, prints "ready", sleeps.
'use strict';
let state = Number(process.argv[2]) >>> 0;
const mib = Number(process.argv[3]) + 40;  // beside the runtime's own
const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 4294967296;
const names = ['invoice', 'basket', 'shipment', 'customer', 'supplier', 'returned', 'pending',
  'discount', 'warehouse', 'courier', 'address', 'payment', 'receipt', 'voucher', 'refund'];
const name = () => names[Math.floor(random() * names.length)];
const orders = new Map(), queue = [], text = [];
let n = 0;
while (process.memoryUsage().rss < mib * 1048576) {
  for (let i = 0; i < 400; i++, n++) {
    const order = {id: n, kind: name(), to: `${name()}-${name()}-${n}`, total: random() * 500,
      lines: Array.from({length: 1 + Math.floor(random() * 4)}, () => ({sku: name() + n, pieces: n % 9})),
      when: new Date(1.7e12 + n * 977).toISOString()};
    orders.set('order:' + n, order);
    if (n % 3 === 0) text.push(JSON.stringify(order));
    if (n % 4 === 0) queue.push(JSON.parse(JSON.stringify(order)));
    if (n % 5 === 0) orders.delete('order:' + Math.floor(random() * n));
  }
}
process.stdout.write('ready\n');
setTimeout(() => queue.push(orders, text), 600000);
