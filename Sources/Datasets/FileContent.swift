import Glibc
import Imaging

/// What the bytes of a file say: a digest of them, and the depth of an image.
struct FileContent {
    /// Nil for a file that is too large, or cannot be read.
    var digest: UInt64?
    /// Nil for a file that is no image.
    var bits: Int?

    /// Larger files have no digest of their content: for them a touch counts as a change.
    static let digestedBytes = 4 << 20

    /// Reads an open file of this size, without moving its place.
    init(_ descriptor: Int32, size: Int, isImage: Bool) {
        let wanted = size <= Self.digestedBytes ? size : 1 << 16
        var filled = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
            while filled < wanted {
                let step = pread(descriptor, buffer.baseAddress! + filled, wanted - filled, off_t(filled))
                if step < 0, errno == EINTR { continue }
                if step <= 0 { break }
                filled += step
            }
            count = filled
        }
        guard filled == wanted else { return }
        if isImage { bits = ImageFile.bits(of: Array(bytes.prefix(1 << 16))) }
        if wanted == size { digest = Self.digest(bytes) }
    }

    /// A digest of 64 bits against chance, not against an adversary: eight bytes at a time, multiplied and folded.
    private static func digest(_ bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBytes { bytes in
            var digest: UInt64 = 0x9e37_79b9_7f4a_7c15 ^ UInt64(bytes.count)
            func take(_ word: UInt64) {
                let product = (digest ^ word).multipliedFullWidth(by: 0xa076_1d64_78bd_642f)
                digest = product.high ^ product.low &+ 0xe703_7ed1_a0b4_28db
            }
            var place = 0
            while place + 8 <= bytes.count {
                take(bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
                place += 8
            }
            var last: UInt64 = 0
            for byte in bytes[place...] { last = last << 8 | UInt64(byte) }
            take(last)
            return digest
        }
    }
}
