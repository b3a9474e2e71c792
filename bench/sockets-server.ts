/**
 * The server of `sockets.bench.ts`, in a process of its own: says its port, and on request the CPU time that it has used.
 */
import { createServer } from '@tidemark/server'
import { listen } from '@tidemark/server/node'
import { memoryStorage } from '@tidemark/storage'

const server = await createServer({ storage: memoryStorage() })
const { port } = await listen(server, { host: '127.0.0.1', port: 0 })

process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpu: user + system })
})
process.on('disconnect', () => process.exit(0))
process.send?.({ port })
