import Datasets

/// Whether the values of label images look like numbers of instances, or like something else: one value for the
/// foreground, a value for each class, or one for the rims of objects.
///
/// Ordinary instance numbers have an object in two pieces now and then; only what is true of most images counts.
struct LabelValues {
    /// Images with an instance.
    private var images = 0
    private var instances = 0
    /// Pieces that are not specks beside a larger one of the same instance.
    private var pieces = 0
    /// Images with more pieces than instances.
    private var imagesInPieces = 0
    private var fewestAndMost = (Int.max, 0)
    /// Images in which each value occurs.
    private var imagesOfValue: [UInt16: Int] = [:]
    /// Images in which each value is the rim of all others, and in which the others are at least three.
    private var rimsOfValue: [UInt16: Int] = [:]
    private var hasManyRims = false
    /// Instances as connected pieces of the foreground; nil once the values are plainly instance numbers.
    private var components: Int? = 0

    /// A piece below this part of the largest one of its instance is a speck.
    private static let speck = 10
    /// Images after which a question is settled that no image gave reason for.
    private static let patience = 10

    /// Adds an image whose labels are values of an image.
    mutating func add(_ masks: InstanceMasks, values: [UInt16]) {
        guard masks.count > 0 else { return }
        images += 1
        instances += masks.count
        for value in values { imagesOfValue[value, default: 0] += 1 }
        var found = 0
        for instance in 0..<masks.count {
            let areas = masks.pieces(of: instance)
            let largest = areas.max() ?? 0
            found += areas.count { Self.speck * $0 >= largest }
        }
        pieces += found
        fewestAndMost = (min(fewestAndMost.0, found), max(fewestAndMost.1, found))
        if found > masks.count { imagesInPieces += 1 }
        if images <= Self.patience || !rimsOfValue.isEmpty, values.count == masks.count, let rim = masks.rim() {
            rimsOfValue[values[rim], default: 0] += 1
            if found >= masks.count + 2 || masks.count > 3 { hasManyRims = true }
        }
        if images > Self.patience, rimsOfValue.isEmpty, 4 * imagesInPieces < images { components = nil }
        if let sum = components { components = sum + masks.pieceCount }
    }

    /// A line for the user if the values are no instance numbers.
    func finding(format: String) -> String? {
        guard images > 0, let what = rims ?? single ?? classes else { return nil }
        guard format == "folder" else { return what + "; give every object a value of its own" }
        let count = components.map { ": \($0) instead of \(instances)" } ?? ""
        return what + "; data.format=folder-components makes each connected piece an instance\(count)"
    }

    private var single: String? {
        guard instances == images, imagesOfValue.count <= 1, 3 * imagesInPieces >= images, 2 * pieces >= 3 * instances
        else { return nil }
        let value =
            imagesOfValue.keys.first.map { "the value \($0) is the only one" } ?? "the foreground is one instance"
        let (fewest, most) = fewestAndMost
        return "\(value) and lies in \(fewest == most ? "\(most)" : "\(fewest) to \(most)") pieces of an image, "
            + "in several in \(imagesInPieces) of \(images) images"
    }

    private var classes: String? {
        let values = imagesOfValue.keys.sorted()
        guard values.count <= 32, 2 * imagesInPieces >= images, pieces >= 2 * instances,
            images == 1 ? instances <= 8 : 2 * instances >= values.count * images
        else { return nil }
        return
            "the same \(values.count) values in most images (\(Self.list(values))), each in several pieces, as classes "
            + "have: \(pieces) pieces of \(instances) instances"
    }

    private var rims: String? {
        guard let (value, count) = rimsOfValue.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }),
            10 * count >= 8 * images, images >= 3 || hasManyRims
        else { return nil }
        return "the value \(value) is the rim of all others in \(count) of \(images) images, as an outline has"
    }

    private static func list(_ values: [UInt16]) -> String {
        values.prefix(8).map(String.init).joined(separator: ", ") + (values.count > 8 ? ", ..." : "")
    }
}
