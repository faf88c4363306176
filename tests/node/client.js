// Drives the released Node.js client of the link protocol: `node client.js PORT`. Prints what it
// saw as one line of JSON.
'use strict';

const Client = require('node-vscp-tcp');

const port = Number(process.argv[2]);
const guid = '00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF';
const zeros = Array(16).fill('00').join(':');

async function connect() {
  const client = new Client();
  await client.connect({ host: '127.0.0.1', port, timeout: 10000 });
  for (let n = 0; n < 3; n += 1) await client.sendCommand({ command: 'noop' });
  await client.user({ username: 'admin' });
  await client.password({ password: 'secret' });
  return client;
}

async function main() {
  const seen = {};
  const one = await connect();
  seen.version = await one.getRemoteVersion();
  seen.channel = await one.getChannelID();
  seen.guid = await one.getGUID();
  seen.can = await one.getWhatCanYouDo();
  seen.interfaces = await one.getInterfaces();
  seen.pending = await one.getPendingEventCount();

  const receiver = await connect();
  await receiver.setFilter({ filterPriority: 0, filterClass: 0, filterType: 0, filterGuid: zeros });
  await receiver.setMask({ maskPriority: 0, maskClass: 0, maskType: 0, maskGuid: zeros });
  const events = [];
  const enough = new Promise((resolve) => {
    receiver.addEventListener((event) => {
      events.push(event);
      if (events.length === 3) resolve();
    });
  });
  await receiver.startRcvLoop();

  await one.sendEvent({
    event: `0,10,6,13,2020-03-08T19:15:53.000Z,123,${guid},1,2,3,4,5,6,7,8`,
  });
  await one.sendEvent({ event: `0,20,3,0,,,${guid},9` });
  await one.sendEvent({ event: `0,20,4,0,,,-` });
  await enough;
  seen.events = events.map((event) => ({
    class: event.vscpClass,
    type: event.vscpType,
    guid: event.vscpGuid,
    data: event.vscpData,
  }));
  await one.quit();
  console.log(JSON.stringify(seen));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
