/**
 * A client in a process of its own that writes for ever, and says what it was promised, until it is killed: `document count`.
 *
 * Arguments: the path of its store, the port of a server (there may be none), the session it writes, how many documents.
 */
import { writeSync } from 'node:fs'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { webSocket } from '@tidemark/websocket'
import { createClient, type Doc, jsonPayload } from '../../src/index.ts'

const [path, port, session, documents] = process.argv.slice(2) as [string, string, string, string]
const client = await createClient({
  storage: sqliteStorage({ path }),
  connect: webSocket(`ws://127.0.0.1:${port}`),
  kind: 'json',
  limits: { reconnectMs: 20 },
})

const docs: Doc[] = []
for (let index = 0; index < Number(documents); index++)
  docs.push(await client.create(`${session} ${index}`, { header: jsonPayload({ index }) }))
for (let count = 1; ; count++) {
  await Promise.all(
    docs.map(async (doc) => {
      await doc.append(session, [jsonPayload(count)])
      say(`stored ${doc.id}:${count}`)
    }),
  )
}

/** At once, without a buffer that would be lost. */
function say(line: string): void {
  writeSync(1, `${line}\n`)
}
