/**
 * A process that plays the seeds it is told, and says which failed.
 */
import { type Portion, playSome } from './play.ts'

// Ctrl-C reaches the whole group; whoever gives the portions decides.
process.on('SIGINT', () => {})

process.on('message', (portion: Portion) => {
  playSome(portion).then(
    (failed) => process.send?.({ portion, failed }),
    (cause) => {
      throw cause
    },
  )
})
