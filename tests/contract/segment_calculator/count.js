// Reads texts as lines of JSON; writes for each its encoding, its segments and the width of its widest grapheme.
const { SegmentedMessage } = require("sms-segments-calculator");

const lines = require("fs").readFileSync(0, "utf8").split("\n");
for (const line of lines.filter(Boolean)) {
  const counted = new SegmentedMessage(JSON.parse(line), "auto", false);
  const widest = Math.max(0, ...counted.graphemes.map((grapheme) => grapheme.length));
  console.log(JSON.stringify([counted.encodingName, counted.segmentsCount, widest]));
}
