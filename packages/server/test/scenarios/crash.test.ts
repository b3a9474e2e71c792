/**
 * Scenario 29 over real sockets and SQLite: an acknowledgement is a promise that survives the process.
 */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startCommand } from '../command-process.ts'
import { until, withFolder } from '../help.ts'
import { content, jazzClient, load, received, session } from '../jazz.ts'

test(
  '29: content is acknowledged, the process is killed at that instant: it is there after the restart, and nothing is there by half',
  { timeout: 120_000 },
  () =>
    withFolder(async (folder) => {
      const args = ['--port', '0', '--storage', `sqlite:${join(folder, 'store.db')}`]
      const run = 20
      let stored = 0
      for (let round = 0; round < 4; round++) {
        const command = await startCommand(args)
        try {
          const client = await jazzClient(command.url)
          client.say(load('note'))
          await until('an answer', () => client.heard.length > 0)
          const held = () => received(client, 'note').get(session('a'))?.length ?? 0
          // Several pages announce their end with the first.
          const announced = client.heard[0]?.expectContentUntil as Record<string, number> | undefined
          await until('all pages', () => held() >= (announced?.[session('a')] ?? 0))
          const found = held()
          // All that was acknowledged before, and of the rest whole runs only.
          expect(found).toBeGreaterThanOrEqual(stored)
          expect(found % run).toBe(0)
          let acknowledged = found
          const killed = until('the first acknowledgement', () => {
            acknowledged = Math.max(found, ...client.heard.map(({ sessions }) => sessions?.[session('a')] ?? 0))
            return acknowledged > found
          }).then(() => command.child.kill('SIGKILL'))
          for (let after = found; after < found + 50 * run; after += run)
            client.say(content('note', 'a', after, after + run))
          await killed
          await client.closed
          acknowledged = Math.max(...client.heard.map(({ sessions }) => sessions?.[session('a')] ?? 0))
          expect(acknowledged).toBeGreaterThan(found)
          stored = acknowledged
        } finally {
          command.child.kill('SIGKILL')
          await command.ended
        }
      }
    }),
)
