/**
 * A process that looks at a store while another one writes to it, until it is killed, and says what it saw, one line of JSON a look.
 *
 * Arguments: the path of the store, the driver.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { betterSqlite3, sqliteStorage } from '../../src/index.ts'
import { nodeSqlite } from '../../src/node-sqlite.ts'
import { readAll } from '../support.ts'

const [path, driver] = process.argv.slice(2) as [string, string]
const storage = sqliteStorage({ path, driver: driver === 'node' ? nodeSqlite : betterSqlite3, readOnly: true })
const { writable } = storage.open()
for (;;) {
  // In one turn, so of one state of the file.
  const mark = storage.marks({ prefix: 'count', limit: 1 })[0]?.[1]
  const count = Number(new TextDecoder().decode(mark))
  const known = storage.knownStates(['x'])[0]?.known.sessions.get('a') ?? 0
  const read = known === 0 ? 0 : readAll(storage, 'x', 10_000).reduce((sum, run) => sum + run.transactions.length, 0)
  console.log(JSON.stringify({ writable, count, known, read }))
  await wait(5)
}
