// A client of ws1 and ws2 that shares nothing with the driver: npm's ws, node's own crypto, and in
// ws1 npm's aes-js, which web pages have.
//
//     node ws_client.js ws1|ws2 URL KEY USER PASSWORD [CA]
//
// Logs in, sends an event, waits for two, closes. Prints what it saw as one line of JSON. It does
// things as the clients do that people have. ws1: CHALLENGE at once, the first AUTH0 is answered
// and the second ignored, credentials padded with spaces, lower-case digits, a filter in
// hexadecimal, events with a date with milliseconds and `-` for a GUID. ws2: zeros to pad with,
// a block of them where none are needed.
'use strict';

const assert = require('node:assert');
const { createCipheriv } = require('node:crypto');
const fs = require('node:fs');
const aesjs = require('aes-js');
const WebSocket = require('ws');

const [dialect, url, digits, user, password, authority] = process.argv.slice(2);
const zeros = Array(16).fill('00').join(':');

function encrypt(text, iv) {
  const cipher = createCipheriv('aes-128-cbc', Buffer.from(digits, 'hex'), Buffer.from(iv, 'hex'));
  cipher.setAutoPadding(false);
  return cipher.update(text, 'utf8', 'hex') + cipher.final('hex');
}

const ws1 = {
  async logIn(client) {
    // Whatever the server has said by then.
    client.socket.send('C;CHALLENGE');
    const [sign, word, sid] = await client.answer();
    assert.deepStrictEqual([sign, word], ['+', 'AUTH0']);
    let text = `${user}:${password}`;
    while (text.length % 16) text += ' ';
    const hex = aesjs.utils.hex.toBytes;
    const cbc = new aesjs.ModeOfOperation.cbc(hex(digits), hex(sid));
    const crypto = aesjs.utils.hex.fromBytes(cbc.encrypt(aesjs.utils.utf8.toBytes(text)));
    client.socket.send(`C;AUTH;${sid};${crypto}`);
    assert.deepStrictEqual(await client.answer(), ['+', 'AUTH0', sid], 'the same id again');
    const record = await client.answer();
    assert.deepStrictEqual(record.slice(0, 2), ['+', 'AUTH1']);
    assert(record.length >= 8, record);
    return sid;
  },
  parse: (text) => text.split(';'),
  isEvent: (message) => message[0] === 'E',
  event(message) {
    const fields = message[1].split(',');
    // What is not a date ends the client.
    assert(!Number.isNaN(new Date(fields[4]).getTime()), fields[4]);
    return {
      class: Number(fields[1]),
      type: Number(fields[2]),
      date: fields[4],
      guid: fields[6],
      data: fields.slice(7).map(Number),
    };
  },
  async must(client, command, ...args) {
    client.socket.send(['C', command, ...args].join(';'));
    const answer = await client.answer();
    assert.deepStrictEqual(answer.slice(0, 2), ['+', command]);
    return answer.slice(2);
  },
  setFilter: (client, vscpClass) =>
    ws1.must(client, 'SF', `0x0,0x${vscpClass.toString(16)},0x0,${zeros}`, `0x0,0xffff,0x0,${zeros}`),
  async sendEvent(client, vscpClass, vscpType, data) {
    const date = new Date().toISOString();
    client.socket.send(`E;96,${vscpClass},${vscpType},0,${date},0,-,${data.join(',')}`);
    assert.deepStrictEqual(await client.answer(), ['+', 'EVENT']);
  },
};

const ws2 = {
  async logIn(client) {
    const greeting = await client.answer();
    assert.strictEqual(greeting.type, '+');
    assert.strictEqual(greeting.args[0], 'AUTH0');
    const sid = greeting.args[1];
    const text = `${user}:${password}`;
    const padding = '\0'.repeat(16 - (text.length % 16));
    await ws2.must(client, 'AUTH', { iv: sid, crypto: encrypt(text + padding, sid).toUpperCase() });
    return sid;
  },
  parse: JSON.parse,
  isEvent: (message) => message.type === 'EVENT',
  event: ({ event }) => ({
    class: event.vscpClass,
    type: event.vscpType,
    date: event.vscpDateTime,
    guid: event.vscpGuid,
    data: event.vscpData,
  }),
  async must(client, command, args = null) {
    client.socket.send(JSON.stringify({ type: 'CMD', command, args }));
    const answer = await client.answer();
    assert.deepStrictEqual([answer.type, answer.command], ['+', command]);
    return answer.args;
  },
  setFilter: (client, vscpClass) =>
    // What is not named stays as it is: nothing is filtered yet.
    ws2.must(client, 'SF', { mask_class: 0xffff, filter_class: vscpClass }),
  async sendEvent(client, vscpClass, vscpType, data) {
    const event = {
      head: 0,
      vscpClass,
      vscpType,
      obid: 0,
      dateTime: new Date().toISOString(),
      timestamp: 0,
      guid: 'FF:FF:FF:FF:FF:FF:FF:F5:00:00:00:00:00:02:00:00',
      data,
      note: 'from Node',
    };
    client.socket.send(JSON.stringify({ type: 'EVENT', event }));
    const answer = await client.answer();
    assert.deepStrictEqual([answer.type, answer.command], ['+', 'EVENT']);
  },
};

const spoken = { ws1, ws2 }[dialect];

class Client {
  constructor(socket) {
    this.socket = socket;
    this.events = [];
    this.answers = [];
    this.wake = null;
    this.done = false;
    socket.on('message', (data, isBinary) => {
      assert(!isBinary);
      const message = spoken.parse(data.toString());
      if (spoken.isEvent(message)) this.events.push(spoken.event(message));
      else this.answers.push(message);
      if (this.wake) this.wake();
    });
  }

  async until(isSo) {
    while (!isSo()) {
      await new Promise((resolve) => {
        this.wake = resolve;
      });
    }
  }

  async answer() {
    await this.until(() => this.answers.length > 0);
    return this.answers.shift();
  }
}

async function main() {
  const ca = authority && fs.readFileSync(authority);
  const socket = new WebSocket(url, { ca });
  const client = new Client(socket);
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  socket.on('close', () => {
    if (!client.done) throw new Error('the server closed');
  });
  const seen = { sid: await spoken.logIn(client) };
  await spoken.must(client, 'NOOP');
  seen.version = await spoken.must(client, 'VERSION');
  await spoken.must(client, 'CLRQ');
  await spoken.setFilter(client, 30);
  await spoken.must(client, 'OPEN');
  await spoken.sendEvent(client, 30, 5, [1, 2, 3, 4, 5, 6]);
  await client.until(() => client.events.length >= 2);
  seen.events = client.events;
  await spoken.must(client, 'CLOSE');
  assert.strictEqual(client.answers.length, 0, 'nothing that nobody asked for');
  client.done = true;
  const closed = new Promise((resolve) => {
    socket.once('close', resolve);
  });
  socket.close();
  seen.code = await closed;
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
