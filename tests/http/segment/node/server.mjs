// @segment/analytics-node as its users use it: `server.mjs URL WRITE_KEY`.
import { createRequire } from 'node:module'

// The libraries are installed in the folder from which this is run, not beside this file.
const { Analytics } = createRequire(`${process.cwd()}/`)('@segment/analytics-node')

const [host, writeKey] = process.argv.slice(2)
const analytics = new Analytics({ writeKey, host, flushAt: 10, flushInterval: 50 })
analytics.on('error', (error) => {
  console.error('given up:', error)
  process.exitCode = 1
})
const userId = 'u-node'
analytics.identify({ userId, traits: { plan: 'pro' } })
analytics.track({
  userId,
  anonymousId: 'anon-node',
  event: 'Order Completed',
  properties: { revenue: 49.99, currency: 'EUR' },
})
analytics.page({ userId, name: 'Home', properties: { url: 'https://a.example/' } })
analytics.screen({ userId, name: 'Cart' })
analytics.group({ userId, groupId: 'g-1', traits: { seats: 3 } })
analytics.alias({ userId, previousId: 'anon-node' })
await analytics.closeAndFlush({ timeout: 25_000 })
