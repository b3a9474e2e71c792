/**
 * The server of `sockets.bench.ts`, in a process of its own: over SQLite if a path is given, else over memory. Says its port, and on
 * request the CPU time that it has used.
 */
import { jazzDependencies, jazzIsTombstone } from '@tidemark/protocol'
import { createServer } from '@tidemark/server'
import { listen } from '@tidemark/server/node'
import { memoryStorage } from '@tidemark/storage'
import { sqliteStorage } from '@tidemark/storage-sqlite'

const [path] = process.argv.slice(2)
const storage = path === undefined ? memoryStorage() : sqliteStorage({ path })
// As the command runs it.
const hooks = { dependenciesOf: jazzDependencies, isTombstone: jazzIsTombstone }
const server = await createServer({ storage, hooks })
const { port } = await listen(server, { host: '127.0.0.1', port: 0 })

process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpu: user + system })
})
process.on('disconnect', () => process.exit(0))
process.send?.({ port })
