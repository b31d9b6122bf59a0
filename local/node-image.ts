/** What the templates call the image of the members on the local cloud. */
export const nodeImageUri = 'etcd-nanny/node-image:local';
