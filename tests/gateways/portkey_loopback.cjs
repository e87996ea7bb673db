// Preloaded into Portkey's gateway, which has no option for the address it listens on: keeps every TCP listener on
// loopback. A test must never open a port to the network.
'use strict';

const net = require('node:net');

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (...given) {
  const [first, ...rest] = given;
  if (typeof first === 'number' || typeof first === 'string') {
    const others = typeof rest[0] === 'string' ? rest.slice(1) : rest;
    return listen.call(this, { port: Number(first), host: '127.0.0.1' }, ...others.filter((part) => typeof part === 'function'));
  }
  if (first !== null && typeof first === 'object' && 'port' in first) {
    return listen.call(this, { ...first, host: '127.0.0.1' }, ...rest);
  }
  throw new Error(`unexpected listen(${typeof first}): refusing to guess where`);
};
