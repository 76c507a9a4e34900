/** The labels of the page: columns of numbers in base64 and tables of texts in JSON, as packing.py writes them. */

const ARRAYS = {
  i2: Int16Array,
  u2: Uint16Array,
  u1: Uint8Array,
  i4: Int32Array,
  f4: Float32Array,
  f8: Float64Array,
};
const MISSING = -32768;
const NO_QUALITY = 255;
const QUALITY_STEPS = 254;
export const JOINTS = 17;

/** The bytes of a base64 text. */
export function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A column: a typed array of the type that its element names. Browsers run on little-endian machines, as it is written. */
function column(root, name) {
  const element = root.getElementById(`column-${name}`);
  const bytes = bytesOf(element.textContent.trim());
  const Kind = ARRAYS[element.dataset.type];
  element.remove(); // the text would stay in memory beside the numbers
  return new Kind(bytes.buffer, bytes.byteOffset, bytes.byteLength / Kind.BYTES_PER_ELEMENT);
}

function table(root, name) {
  return JSON.parse(root.getElementById(`table-${name}`).textContent);
}

/** Labels by row of the page, from 0. */
export class Labels {
  constructor(root) {
    this.facts = table(root, "facts");
    for (const name of this.facts.columns) this[name] = column(root, name);
    for (const name of this.facts.tables) this[name] = table(root, name);
    this.count = this.facts.count;
  }

  /** [34] px x, y of each joint, NaN where it is missing. */
  pose2d(row) {
    return unpacked(this.pose_2d, this.scale_2d[row], row * JOINTS * 2, JOINTS * 2);
  }

  /** [51] mm relative to the root, x right, y down, z away; NaN where there is no label. */
  pose3d(row) {
    return unpacked(this.pose_3d, this.scale_3d[row], row * JOINTS * 3, JOINTS * 3);
  }

  /** Quality of one joint, 0 to 1, or NaN. */
  jointQuality(row, joint) {
    const code = this.joint_quality[row * JOINTS + joint];
    return code === NO_QUALITY ? NaN : code / QUALITY_STEPS;
  }

  /** The lowest quality of a row's joints, or NaN. */
  worstJoint(row) {
    let worst = Infinity;
    for (let j = 0; j < JOINTS; j++) {
      const code = this.joint_quality[row * JOINTS + j];
      if (code !== NO_QUALITY && code < worst) worst = code;
    }
    return worst === Infinity ? NaN : worst / QUALITY_STEPS;
  }

  /** 0 missing, 1 made, 2 labelled. */
  origin(row, joint) {
    return this.provenance[row * JOINTS + joint];
  }

  /** The reason why there is no label, or "". */
  reasonOf(row) {
    return this.reasons[this.reason[row]];
  }

  /** What names the record: the picture's file, or the sequence. */
  nameOf(row) {
    return this.files[this.file[row]] || this.sequences[this.sequence[row]] || "record";
  }

  /** The record's place in its source, as decisions name it; `row` only where others share all of it. */
  identity(row) {
    const identity = {
      file: this.files[this.file[row]],
      sequence: this.sequences[this.sequence[row]],
      frame: this.frame[row],
      person: this.person[row],
    };
    if (this.shared[row]) identity.row = this.facts.first + row;
    return identity;
  }

  /** Where a row's picture lies beside the page, or "". */
  pictureOf(row) {
    if (!this.facts.pictures || !this.crop[row * 3 + 2]) return "";
    const number = this.facts.first + row;
    const folder = String(Math.floor(number / 1000)).padStart(4, "0");
    return `${encodeURIComponent(this.facts.pictures)}/${folder}/${number}.jpg`;
  }
}

function unpacked(numbers, scale, start, size) {
  const values = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const number = numbers[start + i];
    values[i] = number === MISSING ? NaN : number * scale;
  }
  return values;
}
