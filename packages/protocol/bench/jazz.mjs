/**
 * How fast the Jazz dialect is on this machine: `node bench/jazz.mjs`, Node 22.18 or newer.
 */
import { jazz } from '../src/index.ts'

const utf8 = new TextEncoder()
const codec = jazz.createCodec()
const session = (index) => `co_zWqpWfMYJNjZ${index}jDqR9ZpBTgkZVqD_session_z8VfsFbU2Yc${index}`
const sessions = new Map([1, 2, 3].map((index) => [session(index), index * 40]))
const load = { action: 'load', id: 'co_zRfGBFJXyDdJHKQTsnNgjuKvyNyD', known: { header: true, sessions } }

const transaction = (index) => {
  const changes = JSON.stringify([{ op: 'set', key: `key ${index}`, value: 'hello world' }])
  return utf8.encode(JSON.stringify({ privacy: 'trusting', madeAt: 1_763_722_320_000 + index, changes }))
}
const content = (length) => ({
  action: 'content',
  id: load.id,
  kind: 'json',
  priority: 3,
  runs: [
    {
      session: session(1),
      after: 0,
      transactions: Array.from({ length }, (_, index) => transaction(index)),
      seal: utf8.encode('signature_z3vQB9d8'),
    },
  ],
})

function measure(title, times, run) {
  for (let index = 0; index < times / 3; index++) run()
  const start = performance.now()
  for (let index = 0; index < times; index++) run()
  const each = (performance.now() - start) / times
  console.log(
    `${title.padEnd(44)} ${Math.round(1000 / each).toLocaleString('en')} per second, ${(each * 1000).toFixed(2)} µs`,
  )
}

const bytesOf = (frame) => (typeof frame === 'string' ? utf8.encode(frame) : frame)
const read = (frame) => {
  for (const decoded of codec.decode(frame)) if (decoded instanceof Error) throw decoded
}
const loadBytes = bytesOf(codec.encode([load], 131_072)[0])
measure('LOAD, 3 sessions: encode and decode', 300_000, () => {
  codec.encode([load], 131_072)
  read(loadBytes)
})
for (const length of [1, 500]) {
  const message = content(length)
  const [frame] = codec.encode([message], 131_072)
  const times = 50_000 / length
  measure(`CONTENT of ${length} (${frame.length} bytes): decode`, times, () => read(frame))
  measure(`CONTENT of ${length}: encode`, times, () => codec.encode([{ ...message }], 131_072))
  measure(`CONTENT of ${length}: encode for the next peer`, 300_000, () => codec.encode([message], 131_072))
}
